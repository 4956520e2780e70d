/*
 * alloc_test: blocks made, resized and freed at random beside a shadow copy, and the ways to
 * refuse.
 */
#include "alloc.h"
#include "check.h"

#include <stdbool.h>
#include <stdint.h>

/* The allocator is compiled into the test, with a malloc that can be made to refuse. */
static bool refuse_all;

static void *test_malloc(size_t size) {
    return refuse_all ? NULL : malloc(size);
}

static void *test_realloc(void *block, size_t size) {
    return refuse_all ? NULL : realloc(block, size);
}

#define malloc test_malloc
#define realloc test_realloc
#include "alloc.c" /* NOLINT(bugprone-suspicious-include): its inside is what is tested */

#define BLOCKS 2000
#define STEPS 200000

#ifdef CURIO_PLAIN_MALLOC
#define PLAIN true
#define BORDER ((size_t)1024)
#else
#define PLAIN false
#define BORDER SMALL_MAX
#endif

struct shadow {
    unsigned char *block; /* NULL: none */
    size_t size;
    unsigned char seed;
};

static uint32_t random_state = 12345;

static uint32_t random_below(uint32_t n) {
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)random_state * n) >> 32);
}

/* Mostly small, some around the border between small and large, some larger. */
static size_t random_size(void) {
    switch (random_below(8)) {
    case 0:
        return BORDER - 24 + random_below(60);
    case 1:
        return 1 + random_below(20000);
    default:
        return 1 + random_below(300);
    }
}

static void fill(struct shadow *s) {
    s->seed = (unsigned char)random_below(256);
    for (size_t i = 0; i < s->size; i++)
        s->block[i] = (unsigned char)(s->seed + i);
}

static bool holds(const struct shadow *s, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (s->block[i] != (unsigned char)(s->seed + i))
            return false;
    return true;
}

static bool resize(struct alloc *a, struct shadow *s, size_t size) {
    size_t common = s->size < size ? s->size : size;
    s->block = alloc_realloc(a, s->block, s->size, size);
    bool kept =
        (size == 0) == (s->block == NULL) && holds(s, common) && (uintptr_t)s->block % 16 == 0;
    s->size = size;
    fill(s);
    return kept;
}

static bool step(struct alloc *a, struct shadow *s) {
    if (!s->block) {
        s->size = random_below(9); /* what Lua gives for a new block: the kind of object */
        s->block = alloc_realloc(a, NULL, s->size, 1);
        s->size = 1;
        fill(s);
    }
    return holds(s, s->size) && resize(a, s, random_below(3) ? random_size() : 0);
}

static size_t sum(const struct shadow *shadows) {
    size_t total = 0;
    for (int i = 0; i < BLOCKS; i++)
        total += shadows[i].size;
    return total;
}

static void test_random(void) {
    static struct shadow shadows[BLOCKS];
    struct alloc *a = alloc_new();
    bool good = true;
    for (int i = 0; i < STEPS; i++)
        good = step(a, &shadows[random_below(BLOCKS)]) && good;
    CHECK("blocks keep what is written into them", good);
    CHECK("the bytes in use are those asked for", alloc_used(a) == sum(shadows));
    CHECK("what is held covers what is used", alloc_held(a) >= alloc_used(a));
    for (int i = 0; i < BLOCKS; i++)
        good = resize(a, &shadows[i], 0) && good;
    CHECK("blocks are intact to the end", good);
    CHECK("nothing is in use at the end", alloc_used(a) == 0);
    CHECK("freeing no block is harmless", alloc_realloc(a, NULL, 3, 0) == NULL);
    alloc_free(a);
}

static void test_reuse(void) {
    struct alloc *a = alloc_new();
    void *block = alloc_realloc(a, NULL, 0, 40);
    size_t held = alloc_held(a);
    for (int i = 0; i < 100000; i++) {
        alloc_realloc(a, block, 40, 0);
        block = alloc_realloc(a, NULL, 0, 40);
    }
    CHECK("a freed block is used again", alloc_held(a) == held);
    CHECK("a block grows in place within its class",
          PLAIN || alloc_realloc(a, block, 40, 48) == block);
    alloc_realloc(a, block, PLAIN ? 40 : 48, 0);
    alloc_free(a);
}

static void test_shrink_without_memory(void) {
    enum { SOME = 400 };
    static struct shadow shadows[SOME];
    struct alloc *a = alloc_new();
    bool kept = true;
    for (int i = 0; i < SOME; i++)
        kept = resize(a, &shadows[i], BORDER + 1 + (size_t)i * 16) && kept;
    refuse_all = true;
    for (int i = 0; i < SOME; i++)
        kept = resize(a, &shadows[i], 1 + random_below((uint32_t)BORDER)) && kept;
    bool refused = !alloc_realloc(a, NULL, 0, 2 * BORDER);
    for (int i = 0; i < SOME; i++)
        kept = resize(a, &shadows[i], 0) && kept;
    refuse_all = false;
    CHECK("without memory a block can still shrink", kept);
    CHECK("and a new one is refused", refused);
    CHECK("nothing is in use at the end", alloc_used(a) == 0);
    alloc_free(a);
}

/* Asks for n blocks as Lua does, a second time when refused; the number refused, and in *last the
   index of the last one refused twice (or -1). */
static int ask(struct alloc *a, int n, int *last) {
    int refused = 0;
    *last = -1;
    for (int i = 0; i < n; i++) {
        void *block = alloc_torture_realloc(a, NULL, 0, 100);
        if (!block) {
            refused++;
            block = alloc_torture_realloc(a, NULL, 0, 100);
        }
        if (!block)
            *last = i;
        else
            alloc_torture_realloc(a, block, 100, 0);
    }
    return refused;
}

static void test_torture(void) {
    int last;
    struct alloc *a = alloc_new();
    CHECK("an unknown torture is told apart",
          !alloc_torture(a, "1") && !alloc_torture(a, "gc:") && !alloc_torture(a, "fail") &&
              !alloc_torture(a, "fail:7x") && !alloc_torture(a, "fail:0"));
    CHECK("gc is known", alloc_torture(a, "gc"));
    CHECK("gc refuses each once", ask(a, 50, &last) == 50 && last == -1);
    CHECK("gc:10 is known", alloc_torture(a, "gc:10"));
    CHECK("gc:10 refuses each tenth once", ask(a, 55, &last) == 5 && last == -1);
    CHECK("gc:10+1 begins with the first", alloc_torture(a, "gc:10+1") && ask(a, 51, &last) == 6);
    CHECK("fail:7 is known", alloc_torture(a, "fail:7"));
    CHECK("fail:7 refuses the seventh for good", ask(a, 50, &last) == 1 && last == 6);
    CHECK("fail:7+ is known", alloc_torture(a, "fail:7+"));
    CHECK("fail:7+ refuses all from there", ask(a, 50, &last) == 44 && last == 49);
    CHECK("what was refused is not in use", alloc_used(a) == 0);
    alloc_free(a);
}

int main(void) {
    test_random();
    test_reuse();
    test_torture();
    test_shrink_without_memory();
    return check_end();
}
