/*
 * tls_names: see tls_names.h. Only alternative names of a certificate count, as RFC 9525 has it,
 * and a wildcard stands for one whole label.
 */
#include "tls_names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "ossl.h"

#define NAME_MOST 253 /* RFC 1035 */

static bool is_address(const char *host) {
    unsigned char addr[16];
    return inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
}

/* Names in other scripts must come in their ASCII form. An empty label is none: OpenSSL would take
   a name that begins with a dot for any name below it. Nor is the wildcard of a certificate a name.
 */
static bool is_name(const char *host) {
    for (const char *p = host; *p; p++)
        if (*p <= ' ' || *p > '~' || strchr("/:@[]*", *p) ||
            (*p == '.' && (p == host || p[1] == '.')))
            return false;
    return *host != '\0';
}

int tls_names_expect(SSL *ssl, const char *host, bool check) {
    char name[NAME_MOST + 1];
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (is_address(host))
        return check && !X509_VERIFY_PARAM_set1_ip_asc(param, host) ? -EINVAL : 0;
    size_t len = strlen(host);
    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len > NAME_MOST)
        return -EINVAL;
    memcpy(name, host, len);
    name[len] = '\0';
    if (!is_name(name) || !SSL_set_tlsext_host_name(ssl, name))
        return -EINVAL;
    if (!check)
        return 0;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(param, name, len) ? 0 : -EINVAL;
}

static unsigned two(const unsigned char *p) {
    return ((unsigned)p[0] << 8) | p[1];
}

/* RFC 6066, 3: a list, length first, of a type (0: a host name), a length, and the name. */
int tls_names_asked(SSL *ssl, const char **name) {
    const unsigned char *ext;
    size_t size;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &size) || size < 5)
        return -1;
    unsigned len = two(ext + 3);
    if (two(ext) != size - 2 || ext[2] != TLSEXT_NAMETYPE_host_name || len != size - 5)
        return -1;
    if (len == 0 || len > NAME_MOST || memchr(ext + 5, '\0', len))
        return -1;
    *name = (const char *)ext + 5;
    return (int)len;
}
