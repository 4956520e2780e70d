/*
 * errcode: names and texts of the codes that the C library returns.
 *
 * The rest of the plain C layer speaks in negative errno codes; whoever shows one to a human or
 * puts it into an error object asks here, with the sign taken off. The names are the C names
 * ("ECONNREFUSED", "EAI_NONAME"), the same on every platform. Never allocates, never touches
 * errno, safe from any thread.
 */
#ifndef CURIO_ERRCODE_H
#define CURIO_ERRCODE_H

#include <stddef.h>

/* "ECONNREFUSED" for a positive errno; "EUNKNOWN" for what has no name here. A static string. */
const char *errcode_name(int err);

/* "EAI_NONAME" for a code of getaddrinfo as it returned it; "EAI_UNKNOWN" otherwise. */
const char *errcode_eai_name(int eai);

/* The system's text for a positive errno, cut to size, always terminated when size > 0. */
void errcode_message(int err, char *buf, size_t size);

#endif
