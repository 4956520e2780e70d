/*
 * alloc.h - the program's allocator for a Lua state: exact-size classes for what is small.
 *
 * Lua tells the size of a block when it frees it, so a block needs no header: up to 4 KiB it is cut
 * from a chunk and goes back to the free list of its size; what is larger goes to malloc. One
 * allocator serves one state, and so one thread at a time: no locks. Chunks are given back only
 * when the state is closed.
 *
 * With CURIO_PLAIN_MALLOC it is plain malloc, so that sanitizers and valgrind see each block.
 */
#ifndef CURIO_ALLOC_H
#define CURIO_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

struct alloc;

/* NULL without memory. */
struct alloc *alloc_new(void);

/* After lua_close: every block has come back. */
void alloc_free(struct alloc *a);

/* A lua_Alloc; ud is the struct alloc. Cannot fail when a block shrinks. */
void *alloc_realloc(void *ud, void *block, size_t osize, size_t nsize);

/* Bytes that Lua has asked for and not given back. */
size_t alloc_used(const struct alloc *a);
/* Bytes taken from malloc: chunks and larger blocks. */
size_t alloc_held(const struct alloc *a);

/* For "make torture". `how` says which allocations (blocks that grow included) are refused:
 *
 *     gc, gc:N, gc:N+M  each Nth one, from the Mth on, but granted when asked again at once: so Lua
 *                       does a full collection first
 *     fail:N            the Nth one, also when asked again
 *     fail:N+           and all after it
 *
 * False, and nothing happens, when it says none of these. Afterwards the state's lua_Alloc must be
 * alloc_torture_realloc (lua_setallocf); a state that is still being made does not ask again. */
bool alloc_torture(struct alloc *a, const char *how);
void *alloc_torture_realloc(void *ud, void *block, size_t osize, size_t nsize);

#endif
