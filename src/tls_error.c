/*
 * tls_error: see tls_error.h.
 */
#include "tls_error.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ossl.h"

struct tls_error tls_error_take(void) {
    struct tls_error e = {.code = ERR_peek_last_error()};
    e.trouble = e.code ? TLS_LIBRARY : TLS_OK;
    ERR_clear_error();
    return e;
}

/* Those that are not OpenSSL's. */
static const struct {
    const char *text, *reason;
} own[] = {
    [TLS_OK] = {"no error", "NO_ERROR"},
    [TLS_TRUNCATED] = {"the connection was cut: no close_notify", "UNEXPECTED_EOF_WHILE_READING"},
    [TLS_CANCELLED] = {"an earlier write was cancelled half-way", "WRITE_CANCELLED"},
    [TLS_SHUT] = {"written to after shutdown", "PROTOCOL_IS_SHUTDOWN"},
    [TLS_FLOOD] = {"the peer sends control records only", "TOO_MANY_CONTROL_RECORDS"},
    [TLS_RENEGOTIATION] = {"the peer wants to renegotiate again and again", "NO_RENEGOTIATION"},
    [TLS_DATA] = {"data where the end was awaited", "APPLICATION_DATA_AFTER_CLOSE_NOTIFY"},
    [TLS_UNREADY] = {"the handshake comes first", "HANDSHAKE_NOT_COMPLETE"},
    [TLS_REFUSED] = {"the server name was refused", "UNRECOGNIZED_NAME"},
    [TLS_NO_LIBRARY] = {"", "NO_LIBRARY"},
    [TLS_NO_MEMORY] = {"not enough memory", "NO_MEMORY"},
};

static bool is_own(const struct tls_error *e) {
    return e->trouble != TLS_LIBRARY && e->trouble != TLS_UNVERIFIED;
}

const char *tls_error_text(const struct tls_error *e) {
    if (e->trouble == TLS_NO_LIBRARY)
        return ossl_missing();
    if (is_own(e))
        return own[e->trouble].text;
    const char *text = ERR_SYSTEM_ERROR(e->code) ? strerror(ERR_GET_REASON(e->code))
                                                 : ERR_reason_error_string(e->code);
    return text ? text : "unknown error";
}

const char *tls_error_reason(const struct tls_error *e, char *buf, size_t size) {
    snprintf(buf, size, "%s", is_own(e) ? own[e->trouble].reason : tls_error_text(e));
    for (char *p = buf; *p; p++)
        *p = isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
    return buf;
}

const char *tls_error_verify_text(const struct tls_error *e) {
    if (e->verify == X509_V_ERR_UNSPECIFIED)
        return tls_error_text(e);
    return X509_verify_cert_error_string(e->verify);
}
