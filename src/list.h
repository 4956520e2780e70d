/*
 * list.h - intrusive circular doubly linked lists.
 *
 * A head and its nodes are the same struct; an empty head and an unlinked node point at themselves.
 * Removing is O(1) and harmless on a node that is in no list, which is what cancellation needs:
 * whoever undoes a wait need not know whether somebody else was quicker.
 */
#ifndef CURIO_LIST_H
#define CURIO_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l) {
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l) {
    return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *node) {
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_add_head(struct list *head, struct list *node) {
    list_add_tail(head->next, node);
}

static inline void list_del(struct list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = node;
}

/* The first node, unlinked; NULL when the list is empty. */
static inline struct list *list_pop(struct list *head) {
    struct list *node = head->next;
    if (node == head)
        return NULL;
    list_del(node);
    return node;
}

#endif
