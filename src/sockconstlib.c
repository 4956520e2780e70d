/*
 * sockconstlib.c - the constants of sockets, under their C names. Those that a system has not are
 * absent.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "lib.h"
#include "socketlib.h"

struct constant {
    const char *name;
    lua_Integer value;
};

#define C(name)                                                                                    \
    { #name, name }

static const struct constant constants[] = {
    C(AF_UNSPEC),
    C(AF_INET),
    C(AF_INET6),
    C(AF_UNIX),
    C(SOCK_STREAM),
    C(SOCK_DGRAM),
    C(SOCK_RAW),
    C(SOCK_SEQPACKET),
    C(ETIMEDOUT), /* for errors that the Lua layer makes */
    C(SHUT_RD),
    C(SHUT_WR),
    C(SHUT_RDWR),
    C(SOMAXCONN),
    C(SOL_SOCKET),
    C(SO_ACCEPTCONN),
    C(SO_BROADCAST),
    C(SO_DEBUG),
    C(SO_DONTROUTE),
    C(SO_ERROR),
    C(SO_KEEPALIVE),
    C(SO_LINGER),
    C(SO_OOBINLINE),
    C(SO_RCVBUF),
    C(SO_RCVLOWAT),
    C(SO_RCVTIMEO),
    C(SO_REUSEADDR),
    C(SO_SNDBUF),
    C(SO_SNDLOWAT),
    C(SO_SNDTIMEO),
    C(SO_TYPE),
    C(IPPROTO_IP),
    C(IPPROTO_IPV6),
    C(IPPROTO_ICMP),
    C(IPPROTO_RAW),
    C(IPPROTO_TCP),
    C(IPPROTO_UDP),
    C(IP_MULTICAST_IF),
    C(IP_MULTICAST_LOOP),
    C(IP_MULTICAST_TTL),
    C(IP_ADD_MEMBERSHIP),
    C(IP_DROP_MEMBERSHIP),
    C(IP_TOS),
    C(IP_TTL),
    C(IPV6_JOIN_GROUP),
    C(IPV6_LEAVE_GROUP),
    C(IPV6_MULTICAST_HOPS),
    C(IPV6_MULTICAST_IF),
    C(IPV6_MULTICAST_LOOP),
    C(IPV6_UNICAST_HOPS),
    C(IPV6_V6ONLY),
    C(TCP_NODELAY),
    C(TCP_MAXSEG),
    C(MSG_CTRUNC),
    C(MSG_DONTROUTE),
    C(MSG_OOB),
    C(MSG_PEEK),
    C(MSG_TRUNC),
    C(MSG_WAITALL),
    C(SCM_RIGHTS),
    C(AI_ADDRCONFIG),
    C(AI_ALL),
    C(AI_CANONNAME),
    C(AI_NUMERICHOST),
    C(AI_NUMERICSERV),
    C(AI_PASSIVE),
    C(AI_V4MAPPED),
    C(NI_DGRAM),
    C(NI_NAMEREQD),
    C(NI_NOFQDN),
    C(NI_NUMERICHOST),
    C(NI_NUMERICSERV),
#ifdef __linux__ /* with the headers of Linux 4.14 or later */
    C(AF_NETLINK),
    C(AF_PACKET),
    C(AF_VSOCK),
    C(IPV6_ADD_MEMBERSHIP),
    C(IPV6_DONTFRAG),
    C(IPV6_DROP_MEMBERSHIP),
    C(IPV6_HOPLIMIT),
    C(IPV6_MTU),
    C(IPV6_MTU_DISCOVER),
    C(IPV6_MULTICAST_ALL),
    C(IPV6_PKTINFO),
    C(IPV6_RECVERR),
    C(IPV6_RECVHOPLIMIT),
    C(IPV6_RECVPKTINFO),
    C(IPV6_RECVTCLASS),
    C(IPV6_TCLASS),
    C(IP_ADD_SOURCE_MEMBERSHIP),
    C(IP_BIND_ADDRESS_NO_PORT),
    C(IP_BLOCK_SOURCE),
    C(IP_DROP_SOURCE_MEMBERSHIP),
    C(IP_FREEBIND),
    C(IP_HDRINCL),
    C(IP_MTU),
    C(IP_MTU_DISCOVER),
    C(IP_MULTICAST_ALL),
    C(IP_OPTIONS),
    C(IP_ORIGDSTADDR),
    C(IP_PKTINFO),
    C(IP_PMTUDISC_DO),
    C(IP_PMTUDISC_DONT),
    C(IP_PMTUDISC_PROBE),
    C(IP_PMTUDISC_WANT),
    C(IP_RECVERR),
    C(IP_RECVOPTS),
    C(IP_RECVORIGDSTADDR),
    C(IP_RECVTOS),
    C(IP_RECVTTL),
    C(IP_RETOPTS),
    C(IP_TRANSPARENT),
    C(IP_UNBLOCK_SOURCE),
    C(MSG_CMSG_CLOEXEC),
    C(MSG_CONFIRM),
    C(MSG_DONTWAIT),
    C(MSG_EOR),
    C(MSG_ERRQUEUE),
    C(MSG_FASTOPEN),
    C(MSG_MORE),
    C(MSG_NOSIGNAL),
    C(MSG_WAITFORONE),
    C(MSG_ZEROCOPY),
    C(SCM_CREDENTIALS),
    C(SCM_TIMESTAMP),
    C(SCM_TIMESTAMPING),
    C(SCM_TIMESTAMPNS),
    C(SOL_IP),
    C(SOL_IPV6),
    C(SOL_TCP),
    C(SOL_UDP),
    C(SO_ATTACH_BPF),
    C(SO_ATTACH_FILTER),
    C(SO_ATTACH_REUSEPORT_CBPF),
    C(SO_ATTACH_REUSEPORT_EBPF),
    C(SO_BINDTODEVICE),
    C(SO_BSDCOMPAT),
    C(SO_BUSY_POLL),
    C(SO_CNX_ADVICE),
    C(SO_COOKIE),
    C(SO_DETACH_BPF),
    C(SO_DETACH_FILTER),
    C(SO_DOMAIN),
    C(SO_GET_FILTER),
    C(SO_INCOMING_CPU),
    C(SO_INCOMING_NAPI_ID),
    C(SO_LOCK_FILTER),
    C(SO_MARK),
    C(SO_MAX_PACING_RATE),
    C(SO_MEMINFO),
    C(SO_NOFCS),
    C(SO_NO_CHECK),
    C(SO_PASSCRED),
    C(SO_PASSSEC),
    C(SO_PEEK_OFF),
    C(SO_PEERCRED),
    C(SO_PEERGROUPS),
    C(SO_PEERNAME),
    C(SO_PEERSEC),
    C(SO_PRIORITY),
    C(SO_PROTOCOL),
    C(SO_RCVBUFFORCE),
    C(SO_RXQ_OVFL),
    C(SO_SELECT_ERR_QUEUE),
    C(SO_SNDBUFFORCE),
    C(SO_TIMESTAMPING),
    C(SO_TIMESTAMPNS),
    C(SO_WIFI_STATUS),
    C(SO_ZEROCOPY),
    C(TCP_CONGESTION),
    C(TCP_CORK),
    C(TCP_DEFER_ACCEPT),
    C(TCP_FASTOPEN),
    C(TCP_INFO),
    C(TCP_KEEPCNT),
    C(TCP_KEEPIDLE),
    C(TCP_KEEPINTVL),
    C(TCP_NOTSENT_LOWAT),
    C(TCP_QUICKACK),
    C(TCP_SYNCNT),
    C(TCP_USER_TIMEOUT),
#endif
#ifdef SO_DETACH_REUSEPORT_BPF /* Linux 5.4 */
    C(SO_BINDTOIFINDEX),
    C(SO_DETACH_REUSEPORT_BPF),
    C(SO_TXTIME),
    C(SCM_TXTIME),
#endif
#ifdef SO_RESERVE_MEM /* Linux 5.16 */
    C(SO_BUF_LOCK),
    C(SO_BUSY_POLL_BUDGET),
    C(SO_NETNS_COOKIE),
    C(SO_PREFER_BUSY_POLL),
    C(SO_RESERVE_MEM),
#endif
#ifdef SOCK_CLOEXEC
    C(SOCK_CLOEXEC),
#endif
#ifdef SOCK_NONBLOCK
    C(SOCK_NONBLOCK),
#endif
#ifdef SO_REUSEPORT
    C(SO_REUSEPORT),
#endif
#ifdef SO_NOSIGPIPE
    C(SO_NOSIGPIPE),
#endif
#ifdef IPPROTO_ICMPV6
    C(IPPROTO_ICMPV6),
#endif
#ifdef TCP_NOPUSH
    C(TCP_NOPUSH),
#endif
#ifdef SO_TIMESTAMP
    C(SO_TIMESTAMP),
#endif
#ifdef SO_USELOOPBACK
    C(SO_USELOOPBACK),
#endif
#ifdef SO_STYLE
    C(SO_STYLE),
#endif
#ifdef SO_SETFIB
    C(SO_SETFIB),
#endif
#ifdef SO_REUSEPORT_LB
    C(SO_REUSEPORT_LB),
#endif
#ifdef SCM_CREDS
    C(SCM_CREDS),
#endif
#ifdef MSG_EOF
    C(MSG_EOF),
#endif
#ifdef MSG_BCAST
    C(MSG_BCAST),
#endif
#ifdef MSG_MCAST
    C(MSG_MCAST),
#endif
#ifdef IP_DONTFRAG
    C(IP_DONTFRAG),
#endif
#ifdef IP_RECVDSTADDR
    C(IP_RECVDSTADDR),
#endif
#ifdef IP_RECVIF
    C(IP_RECVIF),
#endif
#ifdef IPPROTO_SCTP
    C(IPPROTO_SCTP),
#endif
#ifdef IPPROTO_UDPLITE
    C(IPPROTO_UDPLITE),
#endif
#ifdef IPPROTO_MPTCP
    C(IPPROTO_MPTCP),
#endif
#ifdef UDP_CORK
    C(UDP_CORK),
#endif
#ifdef UDP_SEGMENT
    C(UDP_SEGMENT),
#endif
#ifdef UDP_GRO
    C(UDP_GRO),
#endif
#ifndef __linux__ /* of BSD and macOS */
    C(IPV6_HOPLIMIT),
    C(IPV6_PKTINFO),
    C(IPV6_RECVHOPLIMIT),
    C(IPV6_RECVPKTINFO),
    C(IPV6_RECVTCLASS),
    C(IPV6_TCLASS),
    C(IP_HDRINCL),
    C(IP_OPTIONS),
    C(IP_RECVTOS),
    C(IP_RECVTTL),
    C(IP_RETOPTS),
    C(MSG_DONTWAIT),
    C(MSG_EOR),
    C(MSG_NOSIGNAL),
    C(TCP_KEEPCNT),
    C(TCP_KEEPINTVL),
#endif
};

void socket_add_constants(lua_State *L) {
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        lua_pushinteger(L, constants[i].value);
        lua_setfield(L, -2, constants[i].name);
    }
}
