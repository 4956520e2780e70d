/*
 * addrlib.h - socket addresses as Lua values.
 *
 * What users give is read into a struct addr; what the system returns is pushed as a table {host,
 * port} ({path} for a Unix socket), whose metatable knows .host, .port, .family, .path and, of
 * IPv6, .flowinfo and .scopeid. The table has an array part only: a server keeps one for each
 * connection.
 */
#ifndef CURIO_ADDRLIB_H
#define CURIO_ADDRLIB_H

#include <lua.h>

#include "addr.h"

/* Reads the address at idx for a socket of that family: a table {host, port}, or host at idx and
   port at idx + 1; for AF_UNIX {path} or a path; for AF_UNSPEC any of these. Returns 0; ADDR_NAME
   when the host is a name to be resolved; -EINVAL (a NUL byte inside) or -ENAMETOOLONG. Raises when
   it is no address at all. [-0, +0, v] */
int addrlib_check(lua_State *L, int idx, int family, struct addr *a);

/* The host and the port of what addrlib_check called ADDR_NAME. [-0, +2, v] */
void addrlib_push_name(lua_State *L, int idx);

/* Pushes the metatable of addresses. [-0, +1, -] */
void addrlib_push_metatable(lua_State *L);

/* [-0, +1, m] */
void addrlib_push(lua_State *L, const struct addr *a);

#endif
