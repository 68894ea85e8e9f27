// SPDX-License-Identifier: MIT
//
// true: exit with status 0; the smallest program there is.

int main(void) {
  return 0;
}
