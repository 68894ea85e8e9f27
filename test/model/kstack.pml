// SPDX-License-Identifier: MIT
//
// The life of a stack's slot, on two harts that cache as much as the specification lets them:
// vm/vmalloc.c, vm/tlb.c, vm/kstack.c and the switch in kern/sched/switch.c, for spin.
// docs/fences.md draws the states and says which line of the kernel each switch is about.
//
// 1. A hart that runs on a stack finds it mapped, and in the frame that the table says (use).
// 2. A frame is given back when no hart can translate to it (release).
// 3. A hart that comes online can translate to no frame that was given back before (go_online).
// 4. A touch of a stack by a pointer faults only while there is something to fence for (touch).
//
// A hart's cache may take in an entry, valid or not, at any moment: process walks does that.  That
// it may lose one, too, adds nothing, since it could have taken it in later.  A step is a store as
// the others see it.  Where nothing keeps two of them in order, as when a fence is left out, they
// happen in either.  Each name in #ifdef leaves out or changes one thing, and must break a rule.
//
// With GROWTH a stack may grow while its thread runs on it (KSTACK_GROW=y), by a page that only
// slot 0 has here.  That page is mapped later than the other, and unmapped with it.

#define SLOTS    2
#define FRAMES   2  // numbered from 1; a stack has one
#ifdef GROWTH
#define MAPPINGS 2  // the longest history: slot and frame used, then used again
#else
#define MAPPINGS 3  // and one more
#endif

#define EMPTY   0             // the hart has nothing in its cache for that slot
#define INVALID (FRAMES + 1)  // it has cached that nothing is mapped
#define TLB(h, s) tlb[(h) * SLOTS + (s)]
#define OTHER     (1 - me)
#define ANY(x)    (state[0] == x || state[1] == x)
#define THERE     1             // the hart has cached that page where the stack has grown
#define NOT_THERE 2             // or that nothing is mapped there
#define GROWN(s)  (s == 0 && grown)

mtype = { FREE, FILLED, NEW, READY, RUNNING, CACHED, ERASED, LAZY, DETACHED }

mtype state[SLOTS] = FREE;
byte frame[SLOTS];             // the number in the entry; 0: none
bool valid[SLOTS];             // V in the entry
byte made_in[SLOTS];           // the area's generation
bool used[FRAMES + 1];
byte generation, mappings;
bool draining;                 // drain_lock
bool booted;
byte tlb[2 * SLOTS];           // EMPTY, a frame, or INVALID
byte fenced[2];                // the hart's fence_generation
bool online[2], up[2];         // up: it has also fenced
byte unseen[2];                // 1 + slot whose entry this hart has cleared, not yet in memory
bool own_sees[2];              // but its own walks see that: it has fenced since
bool grown, grown_valid;       // the page where slot 0 has grown: there is a frame; V in the entry
byte low[2];                   // that page in the hart's cache: EMPTY, THERE, NOT_THERE

// --- hardware -----------------------------------------------------------------------------------

// Cache slot s on hart h.
inline walk(h, s) {
  if
  :: valid[s] && !(own_sees[h] && unseen[h] == s + 1) -> TLB(h, s) = frame[s]
  :: else -> TLB(h, s) = INVALID
  fi
}

inline walk_low(h) {
  if
  :: grown_valid && !(own_sees[h] && unseen[h] == 1) -> low[h] = THERE
  :: else -> low[h] = NOT_THERE
  fi
}

// What the hart has cleared reaches memory.
inline store_reaches(h) {
  if
  :: unseen[h] ->
     valid[unseen[h] - 1] = false;
     grown_valid = grown_valid && unseen[h] != 1;
     unseen[h] = 0;
     own_sees[h] = false
  :: else
  fi
}

inline forget(h) {
  TLB(h, 0) = EMPTY;
  TLB(h, 1) = EMPTY;
  low[h] = EMPTY
}

active proctype walks() {
end:
  do
  :: atomic { TLB(0, 0) == EMPTY -> walk(0, 0) }
  :: atomic { TLB(0, 1) == EMPTY -> walk(0, 1) }
  :: atomic { TLB(1, 0) == EMPTY -> walk(1, 0) }
  :: atomic { TLB(1, 1) == EMPTY -> walk(1, 1) }
#ifdef GROWTH
  :: atomic { low[0] == EMPTY -> walk_low(0) }
  :: atomic { low[1] == EMPTY -> walk_low(1) }
#endif
  :: atomic { unseen[0] -> store_reaches(0) }
  :: atomic { unseen[1] -> store_reaches(1) }
  od
}

// --- vm/tlb.c -----------------------------------------------------------------------------------

inline fence_self() {
#ifdef CLAIM_LATE
  d_step { forget(me) };
  fenced[me] = generation;
#else
  seen = generation;
  d_step {
#ifndef NO_FENCE
    forget(me);
    own_sees[me] = unseen[me] != 0;
#endif
    fenced[me] = seen;
    seen = 0
  }
#endif
}

inline catch_up(s) {
  if
#ifndef NO_CATCH_UP
  :: fenced[me] < made_in[s] -> fence_self()
#endif
  :: else
  fi
}

inline fence_harts() {
#ifndef NO_UNMAP_FENCE
  d_step { store_reaches(me) };
#endif
#ifndef NO_OWN_FENCE
  fence_self();
#endif
#ifndef NO_REMOTE_FENCE
  if
  :: online[OTHER] -> d_step { forget(OTHER) }
  :: else
  fi
#endif
}

inline go_online() {
#ifdef FENCE_BEFORE_ONLINE
  fence_self();
  online[me] = true;
#else
#ifdef NO_ONLINE_FENCE
  if
  :: online[me] = true; fence_self()
  :: fence_self(); online[me] = true
  fi;
#else
  online[me] = true;
  fence_self();
#endif
#endif
  d_step {
    up[me] = true;
    assert(TLB(me, 0) == EMPTY || TLB(me, 0) == INVALID || TLB(me, 0) == frame[0]);
    assert(TLB(me, 1) == EMPTY || TLB(me, 1) == INVALID || TLB(me, 1) == frame[1]);
    assert(low[me] != THERE || grown)
  }
}

// --- what is done with a stack ------------------------------------------------------------------

// Run on it: sp is there, so a fault could not even be taken.
inline use(s) {
  d_step {
    if
    :: TLB(me, s) == EMPTY -> walk(me, s)
    :: else
    fi;
    assert(valid[s] && TLB(me, s) == frame[s]);
#ifdef GROWTH
    if
    :: GROWN(s) && low[me] == EMPTY -> walk_low(me)
    :: else
    fi;
    assert(!GROWN(s) || low[me] == THERE)
#endif
  }
}

// Reach it by a pointer: a page fault may turn out to be due to what was cached, and is retried.
inline touch(s) {
  do
  :: d_step {
       TLB(me, s) != INVALID ->
       if
       :: TLB(me, s) == EMPTY -> walk(me, s)
       :: else
       fi;
       assert(valid[s] && TLB(me, s) == frame[s])
     };
     break
  :: TLB(me, s) == INVALID ->
#ifdef NO_REFRESH
     assert(false);
#endif
     assert(fenced[me] != generation);
     fence_self()
  od
}

// Choose a slot in that state; there is one.
inline choose(x) {
  if
  :: state[0] == x -> s = 0
  :: state[1] == x -> s = 1
  fi
}

inline map_stack() {
#ifdef GENERATION_FIRST
  d_step { generation++; made_in[s] = generation };
  valid[s] = true;
#else
  valid[s] = true;
  d_step { generation++; made_in[s] = generation };
#endif
#ifndef NO_LOCAL_FENCE
  fence_self()
#endif
}

// The fault that finds the end of what is mapped maps one page more, and goes on there.
inline grow() {
  d_step { grown = true; grown_valid = true };
#ifndef NO_GROWTH_GENERATION
  d_step { generation++; made_in[s] = generation };
#endif
#ifndef NO_GROWTH_FENCE
  fence_self();
#endif
  use(s)
}

inline fill(x) {
  s = x;
  if
  :: !used[1] -> f = 1
  :: !used[2] -> f = 2
  fi;
  used[f] = true;
  frame[s] = f;
  f = 0;
  mappings++;
  state[s] = FILLED
}

inline unmap_stack() {
  d_step {
    store_reaches(me);
    unseen[me] = s + 1;
    state[s] = LAZY
  }
}

inline detach() {
  d_step {
    store_reaches(OTHER);  // it released the lock that this hart takes
    if
    :: state[0] == LAZY -> state[0] = DETACHED
    :: else
    fi;
    if
    :: state[1] == LAZY -> state[1] = DETACHED
    :: else
    fi
  }
}

inline release(x) {
  d_step {
    if
    :: state[x] == DETACHED ->
       assert(!up[0] || (TLB(0, 0) != frame[x] && TLB(0, 1) != frame[x]));
       assert(!up[1] || (TLB(1, 0) != frame[x] && TLB(1, 1) != frame[x]));
       assert(x != 0 || ((!up[0] || low[0] != THERE) && (!up[1] || low[1] != THERE)));
       used[frame[x]] = false;
       frame[x] = 0;
       grown = grown && x != 0;
       state[x] = FREE
    :: else
    fi
  }
}

// --- a hart -------------------------------------------------------------------------------------

active [2] proctype hart() {
  byte me, s, f, seen;
  me = _pid - 1;
  if
  :: me == 0 -> // boot_main: make a stack and enter it
     atomic { online[0] = true; up[0] = true; fill(0) };
     map_stack();
     use(0);
     state[0] = READY;
     booted = true
  :: else -> booted; go_online()
  fi;
end:
  do
  :: atomic { // vmalloc_range
       mappings < MAPPINGS && ANY(FREE) && !(used[1] && used[2]) ->
       choose(FREE);
       fill(s)
     };
     map_stack();
     state[s] = NEW
  :: atomic { ANY(NEW) -> choose(NEW); state[s] = RUNNING }; // stack_prepare
     touch(s);
     state[s] = READY
  :: atomic { ANY(READY) -> choose(READY); state[s] = RUNNING }; // prepare
     catch_up(s);
     use(s);
#ifdef GROWTH
     if
     :: s == 0 && !grown -> grow()
     :: true
     fi;
#endif
     if
     :: use(s); state[s] = READY          // it yields
     :: !GROWN(s) -> state[s] = CACHED    // it ended: thread_free
     :: unmap_stack()                     // the same, and it has grown, or the cache is full
     fi
  :: atomic { ANY(CACHED) -> choose(CACHED); state[s] = ERASED };
     if
     :: catch_up(s); use(s); state[s] = READY // kstack_alloc
     :: unmap_stack()                         // kstack_drain
     fi
  :: atomic { !draining && ANY(LAZY) -> draining = true }; // vmalloc_drain
#ifdef FENCE_BEFORE_DETACH
     fence_harts();
     detach();
#else
     detach();
     fence_harts();
#endif
     release(0);
     release(1);
     draining = false
  od
}
