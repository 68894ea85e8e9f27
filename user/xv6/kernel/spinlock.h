// SPDX-License-Identifier: MIT
//
// Included by some programs; there is nothing in it for them.
#pragma once
