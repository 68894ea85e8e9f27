// SPDX-License-Identifier: MIT
//
// Circular doubly linked lists whose nodes are embedded in what they link.
//
// I1. An unlinked node points at itself, so removing twice is harmless and membership is a test.
// I2. No node lives on a kernel stack, since a fault may kill the thread and unmap its stack.
#pragma once

#include "kern/lib/types.h"

struct list {
  struct list *next, *prev;
};

#define LIST_INIT(name)                                                                            \
  { &(name), &(name) }
#define list_entry(node, type, member) CONTAINER_OF(node, type, member)
#define list_for_each(pos, head)                                                                   \
  for (struct list *pos = (head)->next; pos != (head); pos = pos->next)

static inline void list_init(struct list *l) {
  l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l) {
  return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *node) {
  node->next = at;
  node->prev = at->prev;
  at->prev->next = node;
  at->prev = node;
}

static inline void list_push_back(struct list *head, struct list *node) {
  list_insert_before(head, node);
}

static inline void list_push_front(struct list *head, struct list *node) {
  list_insert_before(head->next, node);
}

static inline void list_remove(struct list *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  list_init(node);
}

// Remove and return the first node, or NULL when the list is empty.
static inline struct list *list_pop_front(struct list *head) {
  if (list_empty(head))
    return NULL;
  struct list *node = head->next;
  list_remove(node);
  return node;
}
