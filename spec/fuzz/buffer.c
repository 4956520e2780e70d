/*
 * The streams' buffer, against a model: a plain array that is moved about at each step. The input
 * is a list of operations.
 *
 * Sources: buffer.c
 */
#include "fuzz.h"

#include "buffer.h"

enum { MODEL_MAX = 1 << 16 };

static char model[MODEL_MAX];
static size_t held;

static void put(struct buffer *b, const char *bytes, size_t n, int front) {
    if (held + n > MODEL_MAX)
        return;
    if (front) {
        memmove(model + n, model, held);
        memcpy(model, bytes, n);
        MUST(buffer_prepend(b, bytes, n) == 0);
    } else {
        memcpy(model + held, bytes, n);
        MUST(buffer_append(b, bytes, n) == 0);
    }
    held += n;
}

static void fill(struct buffer *b, const char *bytes, size_t room, size_t n) {
    if (held + room > MODEL_MAX)
        return;
    char *to = buffer_reserve(b, room);
    MUST(to);
    memset(to, 'x', room); /* all of it may be written to */
    memcpy(to, bytes, n);
    memcpy(model + held, bytes, n);
    buffer_fill(b, n);
    held += n;
}

static void drop(struct buffer *b, size_t n) {
    n = n > held ? held : n;
    memmove(model, model + n, held - n);
    held -= n;
    buffer_drop(b, n);
}

static void find(const struct buffer *b, const char *what, size_t len, size_t start) {
    ssize_t expected = -1;
    if (!len || start > held)
        return;
    for (size_t i = start; i + len <= held && expected < 0; i++)
        if (!memcmp(model + i, what, len))
            expected = (ssize_t)i;
    MUST(buffer_find(b, start, what, len) == expected);
}

static void step(struct buffer *b, unsigned op, const char *bytes, size_t n) {
    switch (op % 6) {
    case 0:
        put(b, bytes, n, 0);
        break;
    case 1:
        put(b, bytes, n, 1);
        break;
    case 2:
        fill(b, bytes, n + op * 17, n);
        break;
    case 3:
        drop(b, n + op / 2);
        break;
    case 4:
        find(b, bytes, n > 4 ? 4 : n, op);
        break;
    default:
        buffer_shrink(b);
    }
    MUST(buffer_size(b) == held);
    MUST(!held || !memcmp(buffer_bytes(b), model, held));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buffer b = {0};
    held = 0;
    while (size >= 2) {
        unsigned op = data[0];
        size_t n = data[1];
        data += 2;
        size -= 2;
        if (n > size)
            n = size;
        step(&b, op, (const char *)data, n);
        data += n / 2; /* the rest is read again, as operations */
        size -= n / 2;
    }
    buffer_free(&b);
    return 0;
}
