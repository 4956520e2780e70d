/*
 * tls_store: whom to trust: certificates of authorities and their revocations.
 *
 * The system's are loaded once a process, when first asked for, by whichever thread, and are shared
 * from then on: what a context trusts besides goes into a store of its own.
 */
#ifndef CURIO_TLS_STORE_H
#define CURIO_TLS_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "tls_error.h"

struct x509_store_st;

/* A reference, to be freed; NULL: see e. An `own` one may be added to. */
struct x509_store_st *tls_store_system(bool own, struct tls_error *e);
struct x509_store_st *tls_store_empty(struct tls_error *e);
void tls_store_free(struct x509_store_st *store);

/* Certificates and lists of revocations, as PEM (or one certificate as DER): 0 or TLS_FAILED. *crls
   counts the lists. */
int tls_store_add(struct x509_store_st *store, const char *data, size_t len, int *crls,
                  struct tls_error *e);
/* A directory of them, whose names are hashes. */
int tls_store_add_path(struct x509_store_st *store, const char *path, struct tls_error *e);

#endif
