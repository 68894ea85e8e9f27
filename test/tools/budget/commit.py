# SPDX-License-Identifier: MIT
"""Another commit of this tree, built beside it to compare with: BASE=commit."""

import contextlib
import os
import shutil
import subprocess

from budget.graph import Wrong

# Options that say what is built, as make was given them.
OPTIONS = ['CROSS', 'LLVM', 'VMAP_STACK', 'HAVE_ARCH_VMAP_STACK', 'KSTACK_GROW', 'KASAN', 'PROVOKE',
           'HOSTCC', 'PYTHON']
OURS = ['MAKEFLAGS', 'MFLAGS', 'MAKEOVERRIDES', 'BASE', 'JSON', 'ARGS', 'NAME', 'CALL']


def git(*arguments):
    return subprocess.run(['git', *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)


def resolve(name):
    """Return the commit that BASE=name means."""
    if not name.startswith('-'):
        found = git('rev-parse', '--verify', '--quiet', f'{name}^{{commit}}')
    if name.startswith('-') or found.returncode:
        raise Wrong(f'BASE={name} is no commit: name one as git does, such as HEAD~1 or main')
    return found.stdout.strip()


@contextlib.contextmanager
def built(name, build, goals):
    """Make these goals in a tree of the commit, below build.  Yields the tree, which goes after."""
    tree = f'{build}/base-{os.getpid()}'
    added = git('worktree', 'add', '--quiet', '--detach', tree, resolve(name))
    try:
        if added.returncode:
            raise Wrong(f'git cannot check out BASE={name}: {added.stderr.strip()}')
        given = [f'{o}={os.environ[o]}' for o in OPTIONS if os.environ.get(o)]
        inherited = {k: v for k, v in os.environ.items() if k not in OURS}
        made = subprocess.run([os.environ.get('MAKE', 'make'), '-C', tree, *goals, 'BUILD=build',
                               *given], env=inherited, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if made.returncode:
            raise Wrong(f'make {goals[0]} fails in BASE={name}:\n{made.stdout[-2000:]}')
        yield tree
    finally:
        git('worktree', 'remove', '--force', tree)
        shutil.rmtree(tree, ignore_errors=True)
        git('worktree', 'prune')
