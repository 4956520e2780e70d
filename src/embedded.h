/*
 * embedded.h: the Lua layer as a part of the program.
 *
 * tools/embed.lua writes the sources of lua/ into a C file that defines this table; main.c makes
 * them loadable by require. The module for stock Lua has no such table: its Lua files are
 * installed beside it.
 */
#ifndef CURIO_EMBEDDED_H
#define CURIO_EMBEDDED_H

#include <stddef.h>

struct embedded_module {
    const char *name;   /* as require knows it: "curio", "curio.socket" */
    const char *source; /* Lua text, with a NUL after it */
    size_t len;         /* bytes of source, without that NUL */
};

extern const struct embedded_module embedded_modules[]; /* the last one's name is NULL */

#endif
