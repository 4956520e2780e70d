/*
 * mcast: see mcast.h. Where the system has struct ip_mreqn, interfaces of IPv4 go by index too;
 * elsewhere by address only.
 */
#include "mcast.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "addr.h"

static int put(void *buf, const void *value, size_t size) {
    memcpy(buf, value, size);
    return (int)size;
}

static int inet4(struct in_addr *to, const char *text) {
    return inet_pton(AF_INET, text, to) == 1 ? 0 : -EINVAL;
}

/* By name or number. Positive, 0 for "", or -ENODEV. */
static int interface_index(const char *text) {
    char name[IF_NAMESIZE];
    unsigned n = 0;
    if (!*text)
        return 0;
    if ((n = if_nametoindex(text)) != 0)
        return (int)n;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || n > INT32_MAX / 10 - 1)
            return -ENODEV;
        n = n * 10 + (unsigned)(*p - '0');
    }
    return n > 0 && if_indextoname(n, name) ? (int)n : -ENODEV;
}

/* An address of an interface is only looked for by the system, when it is used. */
#ifdef IP_FREEBIND /* Linux, the only one whose IP_MULTICAST_IF takes an ip_mreqn as well */
static int place4(struct ip_mreqn *m, const char *interface) {
    if (inet4(&m->imr_address, interface) == 0)
        return 0;
    m->imr_ifindex = interface_index(interface);
    return m->imr_ifindex < 0 ? m->imr_ifindex : 0;
}

int mcast_member4(void *buf, const char *group, const char *interface) {
    struct ip_mreqn m;
    memset(&m, 0, sizeof m);
    int err = inet4(&m.imr_multiaddr, group);
    if (!err)
        err = place4(&m, interface);
    return err ? err : put(buf, &m, sizeof m);
}

int mcast_interface4(void *buf, const char *interface) {
    struct ip_mreqn m;
    memset(&m, 0, sizeof m);
    int err = place4(&m, interface);
    return err ? err : put(buf, &m, sizeof m);
}
#else
static int place4(struct in_addr *a, const char *interface) {
    a->s_addr = htonl(INADDR_ANY);
    return *interface && inet4(a, interface) < 0 ? -ENODEV : 0;
}

int mcast_member4(void *buf, const char *group, const char *interface) {
    struct ip_mreq m;
    memset(&m, 0, sizeof m);
    int err = inet4(&m.imr_multiaddr, group);
    if (!err)
        err = place4(&m.imr_interface, interface);
    return err ? err : put(buf, &m, sizeof m);
}

int mcast_interface4(void *buf, const char *interface) {
    struct in_addr a;
    int err = place4(&a, interface);
    return err ? err : put(buf, &a, sizeof a);
}
#endif

int mcast_source4(void *buf, const char *group, const char *source, const char *interface) {
#ifdef IP_ADD_SOURCE_MEMBERSHIP
    struct ip_mreq_source m;
    memset(&m, 0, sizeof m);
    int err = inet4(&m.imr_multiaddr, group);
    if (!err)
        err = inet4(&m.imr_sourceaddr, source);
    if (!err && *interface && inet4(&m.imr_interface, interface) < 0)
        err = -ENODEV;
    return err ? err : put(buf, &m, sizeof m);
#else
    (void)buf, (void)group, (void)source, (void)interface;
    return -ENOPROTOOPT;
#endif
}

int mcast_member6(void *buf, const char *group, const char *interface) {
    struct ipv6_mreq m;
    struct addr a;
    memset(&m, 0, sizeof m);
    if (!*group || addr_inet(&a, group, strlen(group), 0, AF_INET6) != 0)
        return -EINVAL;
    int n = interface_index(interface);
    if (n < 0)
        return n;
    m.ipv6mr_multiaddr = a.u.in6.sin6_addr;
    m.ipv6mr_interface = n ? (unsigned)n : a.u.in6.sin6_scope_id;
    return put(buf, &m, sizeof m);
}

int mcast_interface6(void *buf, const char *interface) {
    int n = interface_index(interface);
    return n < 0 ? n : put(buf, &n, sizeof n);
}
