/*
 * home.c - making and closing the states of the program. A state's home stands in its extra space.
 */
#include "home.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* The warning system of lauxlib.c, which only comes with luaL_newstate. */
struct warner {
    bool on, continues;
};

static void warn(void *ud, const char *msg, int to_continue) {
    struct warner *w = ud;
    bool control = !w->continues && !to_continue && msg[0] == '@';
    if (control) {
        if (strcmp(msg, "@on") == 0)
            w->on = true;
        else if (strcmp(msg, "@off") == 0)
            w->on = false;
        return;
    }
    if (w->on)
        fprintf(stderr, "%s%s%s", w->continues ? "" : "Lua warning: ", msg,
                to_continue ? "" : "\n");
    w->continues = to_continue;
}

static int panic(lua_State *L) {
    const char *msg = lua_tostring(L, -1);
    fprintf(stderr, "PANIC: unprotected error in call to Lua API (%s)\n",
            msg ? msg : "error object is not a string");
    return 0; /* Lua aborts */
}

struct home {
    struct warner warner;
    struct alloc *alloc;
};

static struct home **home_of(lua_State *L) {
    return lua_getextraspace(L);
}

static void home_free(struct home *h) {
    if (h->alloc)
        alloc_free(h->alloc);
    free(h);
}

lua_State *home_open(void) {
    struct home *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->alloc = alloc_new();
    lua_State *L = h->alloc ? lua_newstate(alloc_realloc, h->alloc) : NULL;
    if (!L) {
        home_free(h);
        return NULL;
    }
    *home_of(L) = h;
    lua_atpanic(L, panic);
    lua_setwarnf(L, warn, &h->warner);
    const char *torture = getenv("CURIO_TORTURE");
    if (torture && alloc_torture(h->alloc, torture))
        lua_setallocf(L, alloc_torture_realloc, h->alloc);
    return L;
}

void home_close(lua_State *L) {
    struct home *h = *home_of(L);
    lua_close(L);
    home_free(h);
}
