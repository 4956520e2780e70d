/*
 * buffer.c - see buffer.h.
 *
 * Memory grows by doubling, so that putting n bytes in costs O(n) however they come. Before it
 * grows, bytes taken make room again, if they are at least half of it: so moving is paid for too.
 */
#include "buffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_ROOM 64
#define SPARE 4096 /* bytes that an idle buffer may have too many */

static void compact(struct buffer *b) {
    memmove(b->data, b->data + b->from, buffer_size(b));
    b->to -= b->from;
    b->from = 0;
}

static size_t grown(size_t room, size_t needed) {
    size_t twice = room <= SIZE_MAX / 2 ? room * 2 : SIZE_MAX;
    size_t least = twice > LEAST_ROOM ? twice : LEAST_ROOM;
    return needed > least || !room ? needed : least;
}

char *buffer_reserve(struct buffer *b, size_t n) {
    if (b->data && b->room - b->to < n && b->from >= b->room / 2)
        compact(b);
    if (!b->data || b->room - b->to < n) {
        if (n > SIZE_MAX - b->to)
            return NULL;
        size_t room = grown(b->room, b->to + n);
        char *data = realloc(b->data, room);
        if (!data)
            return NULL;
        b->data = data;
        b->room = room;
    }
    return b->data + b->to;
}

void buffer_fill(struct buffer *b, size_t n) {
    b->to += n;
    if (b->from == b->to)
        buffer_free(b);
}

int buffer_append(struct buffer *b, const char *bytes, size_t n) {
    if (n == 0)
        return 0;
    char *to = buffer_reserve(b, n);
    if (!to)
        return -ENOMEM;
    memcpy(to, bytes, n);
    b->to += n;
    return 0;
}

int buffer_prepend(struct buffer *b, const char *bytes, size_t n) {
    if (n > b->from) {
        if (!buffer_reserve(b, n))
            return -ENOMEM;
        memmove(b->data + b->from + n, b->data + b->from, buffer_size(b));
        b->from += n;
        b->to += n;
    }
    if (n > 0) {
        b->from -= n;
        memcpy(b->data + b->from, bytes, n);
    }
    return 0;
}

void buffer_drop(struct buffer *b, size_t n) {
    b->from += n;
    if (b->from == b->to)
        buffer_free(b);
}

void buffer_shrink(struct buffer *b) {
    size_t size = buffer_size(b);
    if (!b->data || b->room - size <= SPARE || size > b->room / 2)
        return;
    compact(b);
    char *data = realloc(b->data, size);
    if (!data)
        return;
    b->data = data;
    b->room = size;
}

void buffer_free(struct buffer *b) {
    free(b->data);
    *b = (struct buffer){0};
}

ssize_t buffer_find(const struct buffer *b, size_t start, const char *what, size_t len) {
    size_t size = buffer_size(b);
    if (start >= size || len > size - start)
        return -1;
    const char *bytes = buffer_bytes(b);
    const char *at = len == 1 ? memchr(bytes + start, what[0], size - start)
                              : memmem(bytes + start, size - start, what, len);
    return at ? at - bytes : -1;
}
