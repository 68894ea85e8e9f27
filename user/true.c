// SPDX-License-Identifier: MIT
//
// true: end well, at once; the smallest program there is.

int main(void) {
  return 0;
}
