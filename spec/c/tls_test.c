/*
 * tls_test: the engine without Lua, two ends in memory, byte by byte if need be.
 */
#include "check.h"
#include "ossl.h"
#include "tls.h"
#include "tls_bio.h"
#include "tls_store.h"

#include <errno.h>

/* For localhost, until 2126; of use to nobody. */
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
static char buf[100000];

struct ends {
    struct tls_context client_context, server_context;
    struct tls client, server;
};

static int trust(struct tls_context *c) {
    struct tls_error e;
    int crls = 0;
    struct x509_store_st *store = tls_store_empty(&e);
    int err = tls_store_add(store, cert, sizeof cert - 1, &crls, &e);
    tls_context_set_trust(c, store);
    tls_store_free(store);
    return err;
}

static void open_ends(struct ends *e, const char *name) {
    struct tls_password none = {0};
    struct tls_options client = {.hostname = name, .check_hostname = true, .peer = "peer"};
    struct tls_options server = {.server = true};
    memset(e, 0, sizeof *e);
    CHECK("a client's context", tls_context_open(&e->client_context, false) == 0);
    CHECK("a server's context", tls_context_open(&e->server_context, true) == 0);
    CHECK("certificate and key", tls_context_set_chain(&e->server_context, cert, sizeof cert - 1,
                                                       key, sizeof key - 1, &none) == 0);
    CHECK("somebody to trust", trust(&e->client_context) == 0);
    CHECK("a client", tls_open(&e->client, &e->client_context, &client) == 0);
    CHECK("a server", tls_open(&e->server, &e->server_context, &server) == 0);
}

static void close_ends(struct ends *e) {
    tls_free(&e->client);
    tls_free(&e->server);
    tls_context_free(&e->client_context);
    tls_context_free(&e->server_context);
}

/* What one end has to send goes to the other, at most so many bytes. */
static size_t carry(struct tls *from, struct tls *to, size_t most) {
    size_t n = from->out.len - from->out.at;
    if (n > most)
        n = most;
    if (n == 0)
        return 0;
    tls_feed(to, from->out.data + from->out.at, n);
    from->out.at += n;
    if (from->out.at == from->out.len)
        tls_bytes_drop(&from->out);
    return n;
}

static int shake(struct tls *t) {
    tls_lend(t, NULL, work);
    return t->connected ? 0 : tls_handshake(t);
}

/* Both shake hands until nothing moves any more; *client is what became of the client. */
static void connect_ends(struct ends *e, size_t portion, int *client, int *server) {
    size_t moved;
    do {
        *client = shake(&e->client);
        *server = shake(&e->server);
        moved = carry(&e->client, &e->server, portion) + carry(&e->server, &e->client, portion);
    } while (moved > 0 && *client != TLS_FAILED && *server != TLS_FAILED);
}

static ssize_t write_to(struct tls *t, const char *data, size_t len) {
    tls_lend(t, NULL, work);
    return tls_write(t, data, len);
}

static ssize_t read_from(struct tls *t, size_t room) {
    tls_lend(t, NULL, work);
    return tls_read(t, buf, room);
}

static void exchange(void) {
    struct ends e;
    int client, server;
    open_ends(&e, "localhost");
    CHECK("reading before the handshake fails", read_from(&e.client, 10) == TLS_FAILED);
    CHECK("and so does writing", write_to(&e.client, "x", 1) == TLS_FAILED);
    connect_ends(&e, 1 << 20, &client, &server);
    CHECK("the client is connected", client == 0 && e.client.connected);
    CHECK("so is the server", server == 0 && e.server.connected);
    CHECK("there is nothing to read yet", read_from(&e.client, 10) == -EAGAIN);
    CHECK("and reading is what to wait for", e.client.want == LOOP_READ);
    CHECK("a write is taken", write_to(&e.client, "hello", 5) == 5);
    carry(&e.client, &e.server, 3);
    CHECK("a part of a record is no data", read_from(&e.server, 10) == -EAGAIN);
    carry(&e.client, &e.server, 1 << 20);
    CHECK("the rest makes it whole", read_from(&e.server, 10) == 5 && !memcmp(buf, "hello", 5));
    memset(buf, 'x', 65536);
    CHECK("64 KiB are taken at once", write_to(&e.server, buf, 65536) == 65536);
    CHECK("and no more", write_to(&e.server, buf, sizeof buf) == 65536);
    carry(&e.server, &e.client, 1 << 20);
    CHECK("small reads take what they can", read_from(&e.client, 1000) == 1000);
    CHECK("the rest stays", tls_pending(&e.client));
    CHECK("and comes", read_from(&e.client, 70000) == 70000);
    CHECK("all of it", read_from(&e.client, 100000) == 2 * 65536 - 71000);
    CHECK("no buffer is kept", !e.client.in.data && !e.server.out.data);
    tls_lend(&e.client, NULL, work);
    CHECK("the end is told", tls_shut(&e.client) == 0);
    CHECK("after which nothing is written", write_to(&e.client, "x", 1) == TLS_FAILED);
    carry(&e.client, &e.server, 1 << 20);
    CHECK("and understood", read_from(&e.server, 10) == 0 && read_from(&e.server, 10) == 0);
    CHECK("the other way is open", write_to(&e.server, "bye", 3) == 3);
    carry(&e.server, &e.client, 1 << 20);
    CHECK("still", read_from(&e.client, 10) == 3);
    tls_feed(&e.client, NULL, 0);
    CHECK("a cut is told",
          read_from(&e.client, 10) == TLS_FAILED && e.client.error.trouble == TLS_TRUNCATED);
    CHECK("again and again", read_from(&e.client, 10) == TLS_FAILED);
    close_ends(&e);
}

static void drip(void) {
    struct ends e;
    int client, server;
    open_ends(&e, "localhost");
    connect_ends(&e, 1, &client, &server);
    CHECK("a byte at a time will do", client == 0 && server == 0);
    close_ends(&e);
}

static void wrong_name(void) {
    struct ends e;
    int client, server;
    open_ends(&e, "example.org");
    connect_ends(&e, 1 << 20, &client, &server);
    CHECK("another name is refused", client == TLS_FAILED);
    CHECK("as unverified", e.client.error.trouble == TLS_UNVERIFIED);
    carry(&e.client, &e.server, 1 << 20);
    CHECK("the server is told", shake(&e.server) == TLS_FAILED);
    close_ends(&e);
}

static void no_name(void) {
    static const char *const names[] = {"", "a b", "a/b", "\xff", "a:1", "[::1]"};
    struct ends e;
    open_ends(&e, "localhost");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tls t = {0};
        struct tls_options opts = {.hostname = names[i], .check_hostname = true};
        CHECK("what is no name is refused", tls_open(&t, &e.client_context, &opts) == -EINVAL);
    }
    close_ends(&e);
}

/* A KeyUpdate at once, not with the next write. */
static void update_now(struct tls *t) {
    tls_update_keys(t, true);
    tls_lend(t, NULL, work);
    SSL_do_handshake(t->ssl);
    tls_bio_settle(t);
}

static void flood(void) {
    struct ends e;
    int client, server;
    open_ends(&e, "localhost");
    connect_ends(&e, 1 << 20, &client, &server);
    read_from(&e.client, 10); /* the tickets */
    for (int i = 0; i < 40; i++) {
        update_now(&e.client);
        carry(&e.client, &e.server, 1 << 20);
        CHECK("an update brings no data", read_from(&e.server, 10) == -EAGAIN);
        CHECK("the other end writes on, by new keys", write_to(&e.server, "y", 1) == 1);
        carry(&e.server, &e.client, 1 << 20);
        CHECK("which is read", read_from(&e.client, 10) == 1);
    }
    for (int i = 0; i < 40; i++)
        update_now(&e.client);
    carry(&e.client, &e.server, 1 << 20);
    CHECK("nothing but updates is too much", read_from(&e.server, 10) == TLS_FAILED);
    CHECK("and said to be", e.server.error.trouble == TLS_FLOOD);
    close_ends(&e);
}

static void broken(void) {
    struct ends e;
    int client, server;
    open_ends(&e, "localhost");
    connect_ends(&e, 1 << 20, &client, &server);
    tls_break(&e.client);
    CHECK("who was taken away in the middle cannot write on",
          write_to(&e.client, "x", 1) == TLS_FAILED && e.client.error.trouble == TLS_CANCELLED);
    CHECK("nor say that this was the end", tls_shut(&e.client) == TLS_FAILED);
    CHECK("the other way is open", write_to(&e.server, "still", 5) == 5);
    carry(&e.server, &e.client, 1 << 20);
    CHECK("to be read", read_from(&e.client, 10) == 5);
    close_ends(&e);
}

static void sessions(void) {
    struct ends e;
    int client, server;
    struct tls_options again = {.hostname = "localhost", .check_hostname = true, .peer = "peer"};
    struct tls_options serving = {.server = true};
    open_ends(&e, "localhost");
    connect_ends(&e, 1 << 20, &client, &server);
    read_from(&e.client, 10);
    CHECK("a session is kept", e.client_context.sessions.count == 1);
    tls_free(&e.client);
    tls_free(&e.server);
    memset(&e.client, 0, sizeof e.client);
    memset(&e.server, 0, sizeof e.server);
    tls_open(&e.client, &e.client_context, &again);
    tls_open(&e.server, &e.server_context, &serving);
    connect_ends(&e, 1 << 20, &client, &server);
    CHECK("and resumed", client == 0 && server == 0);
    tls_context_renew(&e.client_context);
    CHECK("until it is worth nothing", e.client_context.sessions.count == 0);
    read_from(&e.client, 10);
    CHECK("and late ones are not kept", e.client_context.sessions.count == 0);
    close_ends(&e);
}

int main(void) {
    exchange();
    drip();
    wrong_name();
    no_name();
    flood();
    broken();
    sessions();
    return check_end();
}
