/*
 * addr: texts and paths to socket addresses and back; see addr.h.
 *
 * addr_host of an IPv4 address is written by hand, as a server calls it for each connection; the
 * rest goes through inet_pton and inet_ntop, which unlike getaddrinfo look at nothing but the
 * text. Lengths of Unix addresses are handled here and nowhere else: they are the only place
 * where "how many bytes count" carries meaning.
 */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { PATH_AT = offsetof(struct sockaddr_un, sun_path) };

/* ---- making ---- */

static int inet4_set(struct addr *a, struct in_addr host, int port) {
    a->len = sizeof a->u.in;
    a->u.in.sin_family = AF_INET;
    a->u.in.sin_port = htons((uint16_t)port);
    a->u.in.sin_addr = host;
    return 0;
}

static int inet6_set(struct addr *a, const struct in6_addr *host, uint32_t scope, int port) {
    a->len = sizeof a->u.in6;
    a->u.in6.sin6_family = AF_INET6;
    a->u.in6.sin6_port = htons((uint16_t)port);
    a->u.in6.sin6_addr = *host;
    a->u.in6.sin6_scope_id = scope;
    return 0;
}

/* Only addresses of a link belong to an interface that has a name. */
static bool has_link(const struct in6_addr *host) {
    return IN6_IS_ADDR_LINKLOCAL(host) || IN6_IS_ADDR_MC_LINKLOCAL(host);
}

/* Decimal digits only, at most 32 bits. */
static bool scope_number(const char *text, uint32_t *scope) {
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > UINT32_MAX)
            return false;
    }
    *scope = (uint32_t)value;
    return true;
}

static bool scope_parse(const struct in6_addr *host, const char *text, uint32_t *scope) {
    if (has_link(host) && (*scope = if_nametoindex(text)) != 0)
        return true;
    return scope_number(text, scope);
}

/* text is cut at its '%'. */
static int inet6_parse(struct addr *a, char *text, int port) {
    struct in6_addr host;
    uint32_t scope = 0;
    char *mark = strchr(text, '%');
    if (mark)
        *mark = '\0';
    if (inet_pton(AF_INET6, text, &host) != 1)
        return ADDR_NAME;
    if (mark && !scope_parse(&host, mark + 1, &scope))
        return ADDR_NAME;
    return inet6_set(a, &host, scope, port);
}

int addr_inet(struct addr *a, const char *host, size_t hostlen, int port, int family) {
    char text[ADDR_HOST_MAX];
    struct in_addr host4 = {.s_addr = htonl(INADDR_ANY)};

    memset(a, 0, sizeof *a);
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        return -EAFNOSUPPORT;
    if (port < 0 || port > 65535 || (hostlen > 0 && memchr(host, '\0', hostlen)))
        return -EINVAL;
    if (hostlen == 0)
        return family == AF_INET6 ? inet6_set(a, &in6addr_any, 0, port) : inet4_set(a, host4, port);
    if (hostlen >= sizeof text)
        return ADDR_NAME;
    memcpy(text, host, hostlen);
    text[hostlen] = '\0';
    if (family != AF_INET6 && inet_pton(AF_INET, text, &host4) == 1)
        return inet4_set(a, host4, port);
    return family == AF_INET ? ADDR_NAME : inet6_parse(a, text, port);
}

/* A path keeps room for the NUL byte that some systems want; an abstract name fills the field. */
static int unix_check(const char *path, size_t len) {
    size_t room = sizeof((struct sockaddr_un *)0)->sun_path;
#ifdef __linux__
    if (len > 0 && path[0] == '\0')
        return len > room ? -ENAMETOOLONG : 0;
#endif
    if (len > 0 && memchr(path, '\0', len))
        return -EINVAL;
    return len >= room ? -ENAMETOOLONG : 0;
}

int addr_unix(struct addr *a, const char *path, size_t len) {
    int err = unix_check(path, len);
    memset(a, 0, sizeof *a);
    if (err < 0)
        return err;
    a->u.un.sun_family = AF_UNIX;
    if (len > 0)
        memcpy(a->u.un.sun_path, path, len);
    /* A path is passed with its NUL byte, an abstract name ends where its length says. */
    a->len = (socklen_t)(PATH_AT + len + (len > 0 && path[0] != '\0'));
    return 0;
}

int addr_copy(struct addr *a, const struct sockaddr *from, socklen_t len) {
    memset(a, 0, sizeof *a);
    if (len > sizeof a->u)
        return -EINVAL;
    if (len > 0)
        memcpy(&a->u, from, len);
    a->len = len;
    return 0;
}

/* ---- asking ---- */

int addr_family(const struct addr *a) {
    size_t needed = offsetof(struct sockaddr, sa_family) + sizeof a->u.any.sa_family;
    return a->len >= needed ? a->u.any.sa_family : AF_UNSPEC;
}

static bool is_inet(const struct addr *a) {
    return addr_family(a) == AF_INET && a->len >= sizeof a->u.in;
}

static bool is_inet6(const struct addr *a) {
    return addr_family(a) == AF_INET6 && a->len >= sizeof a->u.in6;
}

int addr_port(const struct addr *a) {
    if (is_inet(a))
        return ntohs(a->u.in.sin_port);
    if (is_inet6(a))
        return ntohs(a->u.in6.sin6_port);
    return -EAFNOSUPPORT;
}

static char *put_byte(char *p, unsigned n) {
    if (n >= 100)
        *p++ = (char)('0' + n / 100);
    if (n >= 10)
        *p++ = (char)('0' + n / 10 % 10);
    *p++ = (char)('0' + n % 10);
    return p;
}

static int inet4_host(const struct addr *a, char *buf, size_t size) {
    char text[INET_ADDRSTRLEN], *p = text;
    unsigned char bytes[4];

    memcpy(bytes, &a->u.in.sin_addr, 4);
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *p++ = '.';
        p = put_byte(p, bytes[i]);
    }
    *p++ = '\0';
    if ((size_t)(p - text) > size)
        return -ENOSPC;
    memcpy(buf, text, (size_t)(p - text));
    return (int)(p - text) - 1;
}

static int inet6_host(const struct addr *a, char *buf, size_t size) {
    char text[ADDR_HOST_MAX], name[IF_NAMESIZE];
    uint32_t scope = a->u.in6.sin6_scope_id;
    size_t n;

    inet_ntop(AF_INET6, &a->u.in6.sin6_addr, text, sizeof text);
    n = strlen(text);
    if (scope != 0 && has_link(&a->u.in6.sin6_addr)) {
        if (!if_indextoname(scope, name))
            snprintf(name, sizeof name, "%u", (unsigned)scope);
        n += (size_t)snprintf(text + n, sizeof text - n, "%%%s", name);
    }
    if (n >= size)
        return -ENOSPC;
    memcpy(buf, text, n + 1);
    return (int)n;
}

int addr_host(const struct addr *a, char *buf, size_t size) {
    if (is_inet(a))
        return inet4_host(a, buf, size);
    if (is_inet6(a))
        return inet6_host(a, buf, size);
    return -EAFNOSUPPORT;
}

/* A path may fill sun_path to the brim, and Linux then counts a NUL byte behind it. */
int addr_path(const struct addr *a, const char **path, size_t *len) {
    if (addr_family(a) != AF_UNIX)
        return -EAFNOSUPPORT;
    *path = (const char *)&a->u + PATH_AT;
    *len = a->len > PATH_AT ? a->len - PATH_AT : 0;
    if (*len > sizeof a->u - PATH_AT)
        *len = sizeof a->u - PATH_AT;
#ifdef __linux__
    if (*len > 0 && **path == '\0')
        return 0;
#endif
    *len = strnlen(*path, *len);
    return 0;
}

/* ---- showing ---- */

static size_t put_text(char *buf, size_t size, const char *text, size_t len) {
    if (len >= size)
        len = size - 1;
    memcpy(buf, text, len);
    buf[len] = '\0';
    return len;
}

/* Each NUL byte of an abstract name shows as '@', as ss and netstat do. */
static size_t unix_format(const struct addr *a, char *buf, size_t size) {
    const char *path = NULL;
    size_t len = 0;
    if (addr_path(a, &path, &len) < 0 || len == 0)
        return put_text(buf, size, "(unnamed)", strlen("(unnamed)"));
    len = put_text(buf, size, path, len);
    for (size_t i = 0; i < len; i++)
        if (buf[i] == '\0')
            buf[i] = '@';
    return len;
}

size_t addr_format(const struct addr *a, char *buf, size_t size) {
    char host[ADDR_HOST_MAX], text[ADDR_TEXT_MAX];
    int family = addr_family(a), n;
    if (family == AF_UNSPEC || family == AF_UNIX)
        return unix_format(a, buf, size);
    if (addr_host(a, host, sizeof host) < 0)
        n = snprintf(text, sizeof text, "(address of family %d)", family);
    else
        n = snprintf(text, sizeof text, family == AF_INET6 ? "[%s]:%d" : "%s:%d", host,
                     addr_port(a));
    return put_text(buf, size, text, (size_t)n);
}

/* ---- comparing ---- */

static bool inet6_equal(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b) {
    return a->sin6_port == b->sin6_port && a->sin6_scope_id == b->sin6_scope_id &&
           memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr) == 0;
}

static bool unix_equal(const struct addr *a, const struct addr *b) {
    const char *path[2];
    size_t len[2];
    addr_path(a, &path[0], &len[0]);
    addr_path(b, &path[1], &len[1]);
    return len[0] == len[1] && memcmp(path[0], path[1], len[0]) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b) {
    if (addr_family(a) != addr_family(b))
        return false;
    if (addr_family(a) == AF_UNIX)
        return unix_equal(a, b);
    if (is_inet(a) && is_inet(b))
        return a->u.in.sin_port == b->u.in.sin_port &&
               a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
    if (is_inet6(a) && is_inet6(b))
        return inet6_equal(&a->u.in6, &b->u.in6);
    return a->len == b->len && memcmp(&a->u, &b->u, a->len) == 0;
}
