/*
 * copyformat.h - the bytes of a message, known to copyoutlib.c and copyinlib.c alone.
 *
 * A message is a byte of flags and then the values, as MessagePack; a table is an array if its keys
 * are 1 to n, else a map. What MessagePack lacks is an extension. Tables and extensions are
 * numbered in the order in which they begin, so that EXT_REF can name one that has begun before;
 * MESSAGE_REFS tells whether there is any. Numbers in extensions are in network order.
 */
#ifndef CURIO_COPYFORMAT_H
#define CURIO_COPYFORMAT_H

#include <stddef.h>
#include <stdint.h>

#define MESSAGE_VERSION 0x10
#define MESSAGE_REFS 1

enum copy_ext {
    EXT_REF = 1,  /* uint32: a table or extension that has begun before */
    EXT_FUNCTION, /* uint64 copy_checksum of the string that follows; items: the string, bytecode;
                     the number of upvalues; of each its number in the message, and its value if
                     that is the next new one */
    EXT_NAME,     /* text: see namelib.h */
    EXT_GLOBALS,  /* the receiver's */
    EXT_OBJECT,   /* items: a table, its metatable */
    EXT_ADDRESS,  /* the metatable of addresses */
    EXT_CLASS,    /* an error class; items: key, name, parent or nil, a map of what else it has */
    EXT_SOCKET,   /* uint32 each: place in the list of what is attached, family, type, protocol */
    EXT_SHARED,   /* uint32: place in that list */
    EXT_PROXY     /* uint64: see copy_how */
};

/* Levels of tables in tables. Each takes some slots of the Lua stack, which has a million. */
#define COPY_DEPTH_MAX 190000

/* Bytecode that is damaged would crash the interpreter. */
uint64_t copy_checksum(const char *data, size_t size);

#endif
