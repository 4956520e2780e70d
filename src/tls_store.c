/*
 * tls_store: see tls_store.h.
 */
#include "tls_store.h"

#include <limits.h>
#include <pthread.h>

#include "ossl.h"
#include "tls.h"

static int failed(struct tls_error *e) {
    *e = tls_error_take();
    if (!e->trouble)
        e->trouble = TLS_NO_MEMORY;
    return TLS_FAILED;
}

X509_STORE *tls_store_empty(struct tls_error *e) {
    ERR_clear_error();
    X509_STORE *store = X509_STORE_new();
    if (!store)
        failed(e);
    return store;
}

void tls_store_free(X509_STORE *store) {
    if (store)
        X509_STORE_free(store);
}

/* ---- the system's ---- */

static pthread_mutex_t system_lock = PTHREAD_MUTEX_INITIALIZER;
static X509_STORE *system_store; /* NULL until it was asked for; never freed */

/* With the lock. */
static X509_STORE *load_system(struct tls_error *e) {
    if (system_store)
        return system_store;
    X509_STORE *store = tls_store_empty(e);
    if (store && !X509_STORE_set_default_paths(store)) {
        failed(e);
        tls_store_free(store);
        return NULL;
    }
    system_store = store;
    return store;
}

/* What it has is not loaded, but looked for when a certificate asks for it. */
static bool look_into_directory(X509_STORE *store) {
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir());
    return lookup && X509_LOOKUP_add_dir(lookup, NULL, X509_FILETYPE_DEFAULT);
}

static X509_STORE *copy(X509_STORE *from, struct tls_error *e) {
    X509_STORE *store = tls_store_empty(e);
    STACK_OF(X509) *certs = store ? X509_STORE_get1_all_certs(from) : NULL;
    bool good = certs && look_into_directory(store);
    for (int i = 0; good && i < sk_X509_num(certs); i++)
        good = X509_STORE_add_cert(store, sk_X509_value(certs, i));
    OPENSSL_sk_pop_free((OPENSSL_STACK *)certs, (OPENSSL_sk_freefunc)X509_free);
    if (store && !good) {
        failed(e);
        tls_store_free(store);
        return NULL;
    }
    return store;
}

X509_STORE *tls_store_system(bool own, struct tls_error *e) {
    pthread_mutex_lock(&system_lock);
    X509_STORE *store = load_system(e);
    if (store && own)
        store = copy(store, e);
    else if (store)
        X509_STORE_up_ref(store);
    pthread_mutex_unlock(&system_lock);
    return store;
}

/* ---- others ---- */

static int add_one(X509_STORE *store, X509_INFO *info, int *crls) {
    if (info->x509 && !X509_STORE_add_cert(store, info->x509))
        return -1;
    if (!info->crl)
        return info->x509 ? 1 : 0;
    ++*crls;
    return X509_STORE_add_crl(store, info->crl) ? 1 : -1;
}

static int add_infos(X509_STORE *store, STACK_OF(X509_INFO) * infos, int *crls) {
    int found = 0;
    for (int i = 0; i < sk_X509_INFO_num(infos); i++) {
        int n = add_one(store, sk_X509_INFO_value(infos, i), crls);
        if (n < 0)
            return n;
        found += n;
    }
    return found;
}

static int add_pem(X509_STORE *store, const char *data, size_t len, int *crls) {
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(data, (int)len) : NULL;
    STACK_OF(X509_INFO) *infos = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL) : NULL;
    int found = infos ? add_infos(store, infos, crls) : -1;
    OPENSSL_sk_pop_free((OPENSSL_STACK *)infos, (OPENSSL_sk_freefunc)X509_INFO_free);
    BIO_free(bio);
    return found;
}

static int add_der(X509_STORE *store, const char *data, size_t len) {
    const unsigned char *p = (const unsigned char *)data;
    X509 *cert = len <= LONG_MAX ? d2i_X509(NULL, &p, (long)len) : NULL;
    int found = cert && X509_STORE_add_cert(store, cert) ? 1 : -1;
    X509_free(cert);
    return found;
}

int tls_store_add(X509_STORE *store, const char *data, size_t len, int *crls, struct tls_error *e) {
    bool der = len > 1 && (unsigned char)data[0] == 0x30 && (unsigned char)data[1] >= 0x80;
    ERR_clear_error();
    int found = der ? add_der(store, data, len) : add_pem(store, data, len, crls);
    if (found > 0)
        return 0;
    if (found == 0) {
        *e = (struct tls_error){.trouble = TLS_LIBRARY,
                                .code = ERR_PACK(ERR_LIB_PEM, 0, PEM_R_NO_START_LINE)};
        return TLS_FAILED;
    }
    return failed(e);
}

int tls_store_add_path(X509_STORE *store, const char *path, struct tls_error *e) {
    ERR_clear_error();
    return X509_STORE_load_path(store, path) ? 0 : failed(e);
}
