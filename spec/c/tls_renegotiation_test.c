/*
 * tls_renegotiation_test: a client of TLS 1.2 that asks for new keys again and again, and does not
 * listen to the refusals. OpenSSL's own client gives up at the first, so the records of this one
 * are made by hand, with the connection's keys.
 */
#include "check.h"
#include "ossl.h"
#include "tls.h"
#include "tls_bio.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>

#define ROUNDS 1000
#define REFUSALS 4    /* the last of which ends it */
#define ALERT_MOST 64 /* bytes of a refusal, at most */

/* As in tls_test.c. */
static const char cert[] = "-----BEGIN CERTIFICATE-----\n"
                           "MIIBljCCATugAwIBAgIUR9S5Hj0YKnazNw695ZIptjOGkaYwCgYIKoZIzj0EAwIw\n"
                           "FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjIxMTg1OFoYDzIxMjYxMDI5\n"
                           "MjExODU4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n"
                           "PQMBBwNCAAS3YIRvt+4YJYzCiT+wT+R11bmpHdsD4Ek2MXE0K33RhJNkIQ1SJivp\n"
                           "dE1CiiuuCdNyDKDFDc9q50ixinxswMGbo2kwZzAdBgNVHQ4EFgQU/bCuA7r8IfkH\n"
                           "XiTdVTg705/VxN0wHwYDVR0jBBgwFoAU/bCuA7r8IfkHXiTdVTg705/VxN0wDwYD\n"
                           "VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID\n"
                           "SQAwRgIhAJ/FUWo4TIV9BBGoTphbSnVU5ER1AoC4Q3Y1b1Dkx/LxAiEA2WzPFw8r\n"
                           "IJstjg11lElAOIRbSIUDUvQk8LF28sfmD7w=\n"
                           "-----END CERTIFICATE-----\n";
static const char key[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg82ojQHx+I2qd5ITF\n"
                          "Mgb1a2OdqaBGUY77WLq3iX9MXwqhRANCAAS3YIRvt+4YJYzCiT+wT+R11bmpHdsD\n"
                          "4Ek2MXE0K33RhJNkIQ1SJivpdE1CiiuuCdNyDKDFDc9q50ixinxswMGb\n"
                          "-----END PRIVATE KEY-----\n";

static char work[TLS_WORK];

struct hostile {
    unsigned char block[64]; /* key of the client, of the server, iv of the client, of the server */
    uint64_t records;        /* that the client has encrypted */
};

/* RFC 5246, 5: P_SHA256. */
static void expand(struct hostile *h, const SSL *ssl) {
    unsigned char master[48], seed[13 + 64] = "key expansion", chain[32 + sizeof seed];
    SSL_get_server_random(ssl, seed + 13, 32);
    SSL_get_client_random(ssl, seed + 45, 32);
    size_t len = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master);
    HMAC(EVP_sha256(), master, (int)len, seed, sizeof seed, chain, NULL);
    memcpy(chain + 32, seed, sizeof seed);
    HMAC(EVP_sha256(), master, (int)len, chain, sizeof chain, h->block, NULL);
    HMAC(EVP_sha256(), master, (int)len, chain, 32, chain, NULL);
    HMAC(EVP_sha256(), master, (int)len, chain, sizeof chain, h->block + 32, NULL);
    h->records = 1; /* its Finished */
}

static void number(unsigned char *to, uint64_t n) {
    for (int i = 7; i >= 0; i--, n >>= 8)
        to[i] = (unsigned char)n;
}

/* RFC 5288: a record by AES-128-GCM. */
static size_t encrypt(struct hostile *h, int type, const unsigned char *text, int len,
                      unsigned char *record) {
    unsigned char nonce[12], aad[13] = {[8] = (unsigned char)type, 3, 3, 0, (unsigned char)len};
    const unsigned char head[5] = {(unsigned char)type, 3, 3, 0, (unsigned char)(8 + len + 16)};
    int n;
    memcpy(nonce, h->block + 32, 4);
    number(nonce + 4, h->records);
    number(aad, h->records++);
    memcpy(record, head, 5);
    memcpy(record + 5, nonce + 4, 8);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, h->block, nonce);
    EVP_EncryptUpdate(c, NULL, &n, aad, sizeof aad);
    EVP_EncryptUpdate(c, record + 13, &n, text, len);
    EVP_EncryptFinal_ex(c, record + 13 + len, &n);
    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, record + 13 + len);
    EVP_CIPHER_CTX_free(c);
    return 5 + 8 + (size_t)len + 16;
}

static void feed_hellos(struct hostile *h, struct tls *server, int rounds) {
    static const unsigned char hello[] = {1, 0, 0, 41, 3, 3, [38] = 0, 0, 2, 0xc0, 0x2b, 1, 0};
    unsigned char record[128];
    for (int i = 0; i < rounds; i++) {
        size_t len = encrypt(h, 22, hello, sizeof hello, record);
        tls_feed(server, (char *)record, len);
    }
}

static int shake(struct tls *t) {
    tls_lend(t, NULL, work);
    return t->connected ? 0 : tls_handshake(t);
}

static void carry(struct tls *from, struct tls *to) {
    tls_feed(to, from->out.data + from->out.at, from->out.len - from->out.at);
    tls_bytes_drop(&from->out);
}

struct ends {
    struct tls_context client_context, server_context;
    struct tls client, server;
};

static void connect_ends(struct ends *e) {
    struct tls_password none = {0};
    struct tls_options client = {0}, server = {.server = true};
    memset(e, 0, sizeof *e);
    tls_context_open(&e->client_context, false);
    tls_context_open(&e->server_context, true);
    tls_context_set_chain(&e->server_context, cert, sizeof cert - 1, key, sizeof key - 1, &none);
    SSL_CTX_set_verify(e->client_context.ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cipher_list(e->client_context.ctx, "ECDHE-ECDSA-AES128-GCM-SHA256");
    tls_open(&e->client, &e->client_context, &client);
    tls_open(&e->server, &e->server_context, &server);
    SSL_ctrl(e->client.ssl, SSL_CTRL_SET_MAX_PROTO_VERSION, TLS1_2_VERSION, NULL);
    for (int turn = 0; turn < 4; turn++) {
        shake(&e->client);
        carry(&e->client, &e->server);
        shake(&e->server);
        carry(&e->server, &e->client);
    }
    CHECK("both are connected", e->client.connected && e->server.connected);
}

static void close_ends(struct ends *e) {
    tls_free(&e->client);
    tls_free(&e->server);
    tls_context_free(&e->client_context);
    tls_context_free(&e->server_context);
}

static ssize_t read_from(struct tls *t) {
    char buf[100];
    tls_lend(t, NULL, work);
    return tls_read(t, buf, sizeof buf);
}

/* One that asks now and then is refused and served. */
static void modest(void) {
    struct ends e;
    struct hostile h;
    unsigned char record[128];
    connect_ends(&e);
    expand(&h, e.client.ssl);
    feed_hellos(&h, &e.server, 1);
    size_t len = encrypt(&h, 23, (const unsigned char *)"hello", 5, record);
    tls_feed(&e.server, (char *)record, len);
    CHECK("data behind a refusal is read", read_from(&e.server) == 5);
    CHECK("there was one", e.server.refused == 1);
    close_ends(&e);
}

static void flood(void) {
    struct ends e;
    struct hostile h;
    connect_ends(&e);
    expand(&h, e.client.ssl);
    feed_hellos(&h, &e.server, ROUNDS);
    CHECK("a flood ends the connection", read_from(&e.server) == TLS_FAILED);
    CHECK("for that reason", e.server.error.trouble == TLS_RENEGOTIATION);
    CHECK("after a few refusals", e.server.refused == REFUSALS);
    CHECK("which is all that was answered", e.server.out.len <= (size_t)REFUSALS * ALERT_MOST);
    CHECK("for good", read_from(&e.server) == TLS_FAILED);
    CHECK("and nothing more was looked at", e.server.refused == REFUSALS);
    close_ends(&e);
}

int main(void) {
    modest();
    flood();
    return check_end();
}
