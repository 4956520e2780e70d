/*
 * Addresses: texts and paths into structs and back. Whatever is accepted must print, fit the
 * buffers that addr.h promises, equal itself, and mean the same when its text is read again.
 *
 * Sources: addr.c
 */
#include "fuzz.h"

#include "addr.h"

static void look(const struct addr *a) {
    char text[ADDR_TEXT_MAX], host[ADDR_HOST_MAX], tiny[3];
    const char *path;
    size_t len;
    MUST(addr_format(a, text, sizeof text) < sizeof text);
    MUST(addr_format(a, tiny, sizeof tiny) < sizeof tiny);
    MUST(addr_host(a, host, 1) < 0);
    MUST(addr_equal(a, a));
    if (addr_path(a, &path, &len) == 0)
        for (size_t i = 0; i < len; i++)
            text[i % sizeof text] = path[i];
    addr_port(a);
}

static void read_again(const struct addr *a) {
    char host[ADDR_HOST_MAX];
    struct addr b;
    int n = addr_host(a, host, sizeof host);
    MUST(n > 0);
    MUST(addr_inet(&b, host, (size_t)n, addr_port(a), addr_family(a)) == 0);
    if (addr_family(a) == AF_INET || !a->u.in6.sin6_scope_id)
        MUST(addr_equal(a, &b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX};
    struct addr a;
    if (size < 3)
        return 0;
    int port = data[0] << 8 | data[1], family = families[data[2] % 4];
    const char *text = (const char *)data + 3;
    size -= 3;
    if (addr_inet(&a, text, size, port, family) == 0) {
        look(&a);
        read_again(&a);
    }
    if (addr_unix(&a, text, size) == 0)
        look(&a);
    if (addr_copy(&a, (const struct sockaddr *)text, (socklen_t)size) == 0)
        look(&a);
    return 0;
}
