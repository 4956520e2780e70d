/*
 * tls_names: host names in TLS: what a client sends and checks, what a server is asked for.
 */
#ifndef CURIO_TLS_NAMES_H
#define CURIO_TLS_NAMES_H

#include <stdbool.h>

struct ssl_st;

/* The name, or numeric address, of the server that a client wants: sends it (addresses are not
   sent) and, with `check`, accepts no certificate for another. 0; -EINVAL: it cannot be one. */
int tls_names_expect(struct ssl_st *ssl, const char *host, bool check);

/* During a client hello: the length of the name in it; -1: none. It is not terminated. */
int tls_names_asked(struct ssl_st *ssl, const char **name);

#endif
