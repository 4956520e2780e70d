/*
 * tls_bio: what OpenSSL reads from and writes to: the memory of a struct tls, and its descriptor.
 */
#ifndef CURIO_TLS_BIO_H
#define CURIO_TLS_BIO_H

#include "tls.h"

struct bio_st;

/* NULL: no memory. The struct must outlive it. */
struct bio_st *tls_bio_new(struct tls *t);

/* Sends what waits and what was made: 0, -EAGAIN, or a negative errno. */
int tls_bio_flush(struct tls *t);

/* At the end of each attempt: keeps what was received and not taken, and what was made and not
   sent. 0 or -ENOMEM, after which the stream is worthless. */
int tls_bio_settle(struct tls *t);

/* Is there anything that OpenSSL has not taken, or that is not sent? */
bool tls_bio_has_input(const struct tls *t);
bool tls_bio_has_output(const struct tls *t);

int tls_bytes_add(struct tls_bytes *b, const char *data, size_t len);
void tls_bytes_drop(struct tls_bytes *b);

#endif
