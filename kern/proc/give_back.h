// SPDX-License-Identifier: MIT
//
// What a call held that was killed, or that fails.
#pragma once

// Give back what the running thread's call holds: it was killed in the middle, and never goes on.
// After that it holds nothing, as process_exit wants it.  Sleeps.  May be called again after a
// fault within itself: then what it was giving back is lost, so that it comes to an end.
void give_back_held(void);

// Give back the references alone.  The call has no sleep lock and no transaction any more.
void give_back_references(void);
