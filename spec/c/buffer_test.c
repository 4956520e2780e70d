/*
 * buffer_test: bytes in, bytes out, whatever the order.
 */
#include "buffer.h"
#include "check.h"

#include <stdint.h>

static int holds(const struct buffer *b, const char *text) {
    size_t n = strlen(text);
    return buffer_size(b) == n && (n == 0 || memcmp(buffer_bytes(b), text, n) == 0);
}

static void test_queue(void) {
    struct buffer b = {0};
    CHECK("a new one is empty and holds no memory", buffer_size(&b) == 0 && !b.block);
    buffer_append(&b, "hello ", 6);
    buffer_append(&b, "world", 5);
    CHECK("what is appended stands in one piece", holds(&b, "hello world"));
    buffer_drop(&b, 6);
    CHECK("what is dropped goes from the front", holds(&b, "world"));
    buffer_prepend(&b, "new ", 4);
    CHECK("what is prepended comes first", holds(&b, "new world"));
    buffer_prepend(&b, "a longer text before the ", 25);
    CHECK("also when there is no room before it", holds(&b, "a longer text before the new world"));
    buffer_prepend(&b, "", 0);
    buffer_append(&b, "", 0);
    CHECK("nothing changes nothing", holds(&b, "a longer text before the new world"));
    buffer_drop(&b, buffer_size(&b));
    CHECK("an empty one holds no memory", !b.block);
    buffer_prepend(&b, "x", 1);
    CHECK("an empty one can be prepended to", holds(&b, "x"));
    buffer_free(&b);
    buffer_free(&b);
    CHECK("freeing twice is harmless", !b.block);
}

static void test_reserve(void) {
    struct buffer b = {0};
    char *to = buffer_reserve(&b, 100);
    CHECK("there is room", to != NULL);
    buffer_fill(&b, 0);
    CHECK("room that nothing came into is given back", !b.block);
    memcpy(buffer_reserve(&b, 100), "abc", 3);
    buffer_fill(&b, 3);
    CHECK("what came is there", holds(&b, "abc"));
    CHECK("more room than there is memory is refused", !buffer_reserve(&b, SIZE_MAX));
    CHECK("and has changed nothing", holds(&b, "abc"));
    buffer_free(&b);
}

static void test_shrink(void) {
    struct buffer b = {0};
    buffer_reserve(&b, 100000);
    buffer_append(&b, "abcdef", 6);
    buffer_drop(&b, 2);
    buffer_shrink(&b);
    CHECK("a large one with little in it becomes small", b.block->room == 4 && holds(&b, "cdef"));
    buffer_shrink(&b);
    CHECK("a small one stays", b.block->room == 4 && holds(&b, "cdef"));
    buffer_free(&b);
    buffer_shrink(&b);
    CHECK("an empty one too", !b.block);
}

static void test_find(void) {
    struct buffer b = {0};
    CHECK("nothing is found in nothing", buffer_find(&b, 0, "x", 1) == -1);
    buffer_append(&b, "-abcabd", 7);
    buffer_drop(&b, 1);
    CHECK("a byte is found", buffer_find(&b, 0, "b", 1) == 1);
    CHECK("from an offset on", buffer_find(&b, 2, "b", 1) == 4);
    CHECK("several bytes are found", buffer_find(&b, 0, "abd", 3) == 3);
    CHECK("what is not there is not", buffer_find(&b, 0, "abe", 3) == -1);
    CHECK("nor what is longer", buffer_find(&b, 0, "abcabdx", 7) == -1);
    CHECK("nor anything behind the end", buffer_find(&b, 6, "a", 1) == -1);
    buffer_free(&b);
}

/* Against a plain array, in which everything is moved each time. */
static void test_random(void) {
    static char model[1 << 16];
    struct buffer b = {0};
    size_t size = 0;
    unsigned seed = 20261122;
    int same = 1;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525u + 1013904223u;
        size_t n = (seed >> 8) % 300;
        char bytes[300];
        memset(bytes, 'a' + i % 26, sizeof bytes);
        if (seed >> 30 && size + n <= sizeof model && (seed >> 29) & 1) {
            memcpy(model + size, bytes, n);
            buffer_append(&b, bytes, n);
            size += n;
        } else if (seed >> 30 == 1 && size + n <= sizeof model) {
            memmove(model + n, model, size);
            memcpy(model, bytes, n);
            buffer_prepend(&b, bytes, n);
            size += n;
        } else {
            n = n > size ? size : n;
            memmove(model, model + n, size - n);
            buffer_drop(&b, n);
            size -= n;
        }
        if (seed % 50 == 0)
            buffer_shrink(&b);
        same = same && buffer_size(&b) == size &&
               (size == 0 || memcmp(buffer_bytes(&b), model, size) == 0);
    }
    CHECK("it holds what a plain array does, after 20,000 random operations", same);
    buffer_free(&b);
}

int main(void) {
    test_queue();
    test_reserve();
    test_shrink();
    test_find();
    test_random();
    return check_end();
}
