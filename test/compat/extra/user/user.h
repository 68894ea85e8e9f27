// SPDX-License-Identifier: MIT
//
// A header of a folder that sources lie in, with the name of one that they mean.
#error user/user.h is that of user/xv6
