/*
 * mcast: memberships in multicast groups, from texts to the structs that socket options take.
 *
 * Nothing here asks a name server. An interface is told by its name, by its index, or for IPv4 also
 * by one of its addresses; "" lets the system choose.
 */
#ifndef CURIO_MCAST_H
#define CURIO_MCAST_H

#include <stddef.h>

enum { MCAST_SIZE = 64 }; /* bytes that fit each of the structs */

/* Each fills buf, of MCAST_SIZE bytes, and returns the bytes in use; -EINVAL: a text is not a
   numeric address of that family; -ENODEV: there is no such interface. */

/* IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP */
int mcast_member4(void *buf, const char *group, const char *interface);
/* IP_ADD_SOURCE_MEMBERSHIP and its kin; the interface by address only, "" likewise */
int mcast_source4(void *buf, const char *group, const char *source, const char *interface);
/* IP_MULTICAST_IF */
int mcast_interface4(void *buf, const char *interface);
/* IPV6_JOIN_GROUP, IPV6_LEAVE_GROUP; "ff02::1%eth0" names the interface as well */
int mcast_member6(void *buf, const char *group, const char *interface);
/* IPV6_MULTICAST_IF */
int mcast_interface6(void *buf, const char *interface);

#endif
