/*
 * alloc.c - the allocator of alloc.h.
 *
 * A block of up to SMALL_MAX bytes (a network message of the usual sizes is one) belongs to the
 * class of its size, rounded up to 16. A class has a list of free blocks; when that is empty, the
 * next bytes of the newest chunk are taken. So blocks made one after the other lie side by side,
 * whatever their sizes.
 *
 * A block that shrinks into a class must find room there even when malloc has none: then a small
 * block stays as it is (some bytes of it are lost until the end), and a large one becomes a chunk.
 */
#include "alloc.h"

#include <assert.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GRAIN ((size_t)16)
#define CHUNK_MIN ((size_t)64 * 1024)
#define CHUNK_MAX ((size_t)1024 * 1024)

struct free_block {
    struct free_block *next;
};

struct chunk { /* at the start of the memory that it is */
    alignas(16) struct chunk *next;
};

/* A large block has room for a chunk's head and the largest small block. */
#ifdef CURIO_PLAIN_MALLOC
#define SMALL_MAX ((size_t)0)
#define LARGE_MIN ((size_t)1)
#else
#define SMALL_MAX ((size_t)4096)
#define LARGE_MIN (sizeof(struct chunk) + SMALL_MAX)
#endif

enum torture { TORTURE_GC, TORTURE_FAIL, TORTURE_FAIL_ON };

struct request {
    void *block;
    size_t osize, nsize;
};

struct alloc {
    struct free_block *free[SMALL_MAX / GRAIN + 1]; /* of i * GRAIN bytes */
    char *fresh; /* the part of the newest chunk that was never used */
    char *fresh_end;
    struct chunk *chunks;
    size_t used; /* bytes, as Lua counts them */
    size_t held; /* bytes from malloc */
    enum torture torture;
    size_t every;           /* TORTURE_GC: refuse each such request */
    size_t countdown;       /* requests until the next one is refused; 0: none */
    struct request refused; /* the last one; nsize 0: none, or it has been asked again */
};

struct alloc *alloc_new(void) {
    return calloc(1, sizeof(struct alloc));
}

void alloc_free(struct alloc *a) {
    assert(a->used == 0);
    while (a->chunks) {
        struct chunk *c = a->chunks;
        a->chunks = c->next;
        free(c);
    }
    free(a);
}

size_t alloc_used(const struct alloc *a) {
    return a->used;
}

size_t alloc_held(const struct alloc *a) {
    return a->held;
}

static inline size_t round_up(size_t size) {
    return (size + GRAIN - 1) & ~(GRAIN - 1);
}

static inline struct free_block **list_of(struct alloc *a, size_t size) {
    return &a->free[(size + GRAIN - 1) / GRAIN];
}

static inline void put_free(struct alloc *a, void *block, size_t size) {
    struct free_block **list = list_of(a, size);
    struct free_block *b = block;
    b->next = *list;
    *list = b;
}

static void add_chunk(struct alloc *a, void *memory) {
    struct chunk *c = memory;
    c->next = a->chunks;
    a->chunks = c;
}

/* Chunks grow with what is held, so that a big program has few of them. */
static bool add_fresh(struct alloc *a) {
    size_t size = round_up(a->held / 8);
    size = size < CHUNK_MIN ? CHUNK_MIN : size > CHUNK_MAX ? CHUNK_MAX : size;
    char *memory = malloc(size);
    if (!memory)
        return false;
    if (a->fresh < a->fresh_end)
        put_free(a, a->fresh, (size_t)(a->fresh_end - a->fresh));
    add_chunk(a, memory);
    a->held += size;
    a->fresh = memory + sizeof(struct chunk);
    a->fresh_end = memory + size;
    return true;
}

static void *take_fresh(struct alloc *a, size_t size) {
    size = round_up(size);
    if ((size_t)(a->fresh_end - a->fresh) < size && !add_fresh(a))
        return NULL;
    void *block = a->fresh;
    a->fresh += size;
    return block;
}

static inline void *small_new(struct alloc *a, size_t size) {
    struct free_block **list = list_of(a, size);
    struct free_block *b = *list;
    if (!b)
        return take_fresh(a, size);
    *list = b->next;
    return b;
}

static inline size_t large_size(size_t size) {
    return size < LARGE_MIN ? LARGE_MIN : size;
}

static void *large_new(struct alloc *a, size_t size) {
    void *block = malloc(large_size(size));
    if (block)
        a->held += large_size(size);
    return block;
}

static void large_free(struct alloc *a, void *block, size_t size) {
    a->held -= large_size(size);
    free(block);
}

static void *large_resize(struct alloc *a, void *block, size_t osize, size_t nsize) {
    void *moved = realloc(block, large_size(nsize));
    if (!moved) {
        if (nsize > osize)
            return NULL;
        moved = block;
    }
    a->held += large_size(nsize) - large_size(osize);
    return moved;
}

static inline void *block_new(struct alloc *a, size_t size) {
    return size <= SMALL_MAX ? small_new(a, size) : large_new(a, size);
}

static inline void block_free(struct alloc *a, void *block, size_t size) {
    if (size <= SMALL_MAX)
        put_free(a, block, size);
    else
        large_free(a, block, size);
}

/* Without memory for a smaller block: the large one becomes a chunk with that block in it. */
static void *large_adopt(struct alloc *a, char *block, size_t nsize) {
    memmove(block + sizeof(struct chunk), block, nsize);
    add_chunk(a, block);
    return block + sizeof(struct chunk);
}

static void *block_move(struct alloc *a, void *block, size_t osize, size_t nsize) {
    void *moved = block_new(a, nsize);
    if (!moved && nsize > osize)
        return NULL;
    if (!moved)
        return osize > SMALL_MAX ? large_adopt(a, block, nsize) : block;
    memcpy(moved, block, osize < nsize ? osize : nsize);
    block_free(a, block, osize);
    return moved;
}

static void *block_resize(struct alloc *a, void *block, size_t osize, size_t nsize) {
    if (osize > SMALL_MAX && nsize > SMALL_MAX)
        return large_resize(a, block, osize, nsize);
    if (round_up(osize) == round_up(nsize))
        return block;
    return block_move(a, block, osize, nsize);
}

void *alloc_realloc(void *ud, void *block, size_t osize, size_t nsize) {
    struct alloc *a = ud;
    if (!block)
        osize = 0; /* it told what kind of object this is for */
    if (nsize == 0) {
        if (block)
            block_free(a, block, osize);
        a->used -= osize;
        return NULL;
    }
    block = block ? block_resize(a, block, osize, nsize) : block_new(a, nsize);
    if (block)
        a->used += nsize - osize;
    return block;
}

/* --- torture --- */

bool alloc_torture(struct alloc *a, const char *how) {
    size_t n = 1, from = 0;
    char plus = 0, rest = 0;
    int got = sscanf(how, "gc:%zu+%zu%c", &n, &from, &rest);
    if (strcmp(how, "gc") == 0 || got == 1 || got == 2) {
        a->torture = TORTURE_GC;
        a->every = n;
        a->countdown = from ? from : n;
        return n > 0;
    }
    got = sscanf(how, "fail:%zu%c%c", &n, &plus, &rest);
    if (got != 1 && (got != 2 || plus != '+'))
        return false;
    a->torture = plus ? TORTURE_FAIL_ON : TORTURE_FAIL;
    a->countdown = n;
    return n > 0;
}

static bool same_request(const struct request *a, const struct request *b) {
    return a->block == b->block && a->osize == b->osize && a->nsize == b->nsize;
}

/* So that the driver knows whether it has come so far. */
static void tell(const char *what) {
    if (write(STDERR_FILENO, what, strlen(what)) < 0)
        return;
}

static bool refuse(struct alloc *a, const struct request *r) {
    bool again = same_request(r, &a->refused);
    a->refused.nsize = 0;
    if (again)
        return a->torture != TORTURE_GC;
    if (a->countdown == 0)
        return a->torture == TORTURE_FAIL_ON;
    if (--a->countdown > 0)
        return false;
    if (a->torture == TORTURE_GC)
        a->countdown = a->every;
    else
        tell("torture: an allocation is refused\n");
    a->refused = *r;
    return true;
}

void *alloc_torture_realloc(void *ud, void *block, size_t osize, size_t nsize) {
    struct request r = {block, osize, nsize};
    bool grows = nsize > (block ? osize : 0);
    if (grows && refuse(ud, &r))
        return NULL;
    return alloc_realloc(ud, block, osize, nsize);
}
