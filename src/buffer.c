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

static void compact(struct buffer_block *k) {
    k->to -= k->from;
    memmove(k->bytes, k->bytes + k->from, k->to);
    k->from = 0;
}

static size_t grown(size_t room, size_t needed) {
    size_t twice = room <= SIZE_MAX / 2 ? room * 2 : SIZE_MAX;
    size_t least = twice > LEAST_ROOM ? twice : LEAST_ROOM;
    return needed > least || !room ? needed : least;
}

static struct buffer_block *resize(struct buffer *b, size_t room) {
    if (room > SIZE_MAX - sizeof *b->block)
        return NULL;
    struct buffer_block *k = realloc(b->block, sizeof *k + room);
    if (!k)
        return NULL;
    if (!b->block)
        k->from = k->to = 0;
    k->room = room;
    b->block = k;
    return k;
}

char *buffer_reserve(struct buffer *b, size_t n) {
    struct buffer_block *k = b->block;
    if (k && k->room - k->to < n && k->from >= k->room / 2)
        compact(k);
    size_t used = k ? k->to : 0, room = k ? k->room : 0;
    if (!k || room - used < n) {
        if (n > SIZE_MAX - used)
            return NULL;
        k = resize(b, grown(room, used + n));
    }
    return k ? k->bytes + k->to : NULL;
}

void buffer_fill(struct buffer *b, size_t n) {
    if (!b->block)
        return;
    b->block->to += n;
    if (buffer_size(b) == 0)
        buffer_free(b);
}

int buffer_append(struct buffer *b, const char *bytes, size_t n) {
    if (n == 0)
        return 0;
    char *to = buffer_reserve(b, n);
    if (!to)
        return -ENOMEM;
    memcpy(to, bytes, n);
    b->block->to += n;
    return 0;
}

int buffer_prepend(struct buffer *b, const char *bytes, size_t n) {
    if (n == 0)
        return 0;
    if ((!b->block || n > b->block->from) && !buffer_reserve(b, n))
        return -ENOMEM;
    struct buffer_block *k = b->block;
    if (n > k->from) {
        memmove(k->bytes + k->from + n, k->bytes + k->from, buffer_size(b));
        k->from += n;
        k->to += n;
    }
    k->from -= n;
    memcpy(k->bytes + k->from, bytes, n);
    return 0;
}

void buffer_drop(struct buffer *b, size_t n) {
    if (!b->block)
        return;
    b->block->from += n;
    if (buffer_size(b) == 0)
        buffer_free(b);
}

void buffer_shrink(struct buffer *b) {
    struct buffer_block *k = b->block;
    size_t size = buffer_size(b);
    if (!k || k->room - size <= SPARE || size > k->room / 2)
        return;
    compact(k);
    resize(b, size);
}

void buffer_free(struct buffer *b) {
    free(b->block);
    b->block = NULL;
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
