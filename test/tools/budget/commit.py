# SPDX-License-Identifier: MIT
"""Another commit of this tree, built beside it to compare with: BASE=commit."""

import contextlib
import filecmp
import os
import pathlib
import shutil
import subprocess

from budget.graph import Wrong

# Options that say what is built, as make was given them.
OPTIONS = ['CROSS', 'LLVM', 'VMAP_STACK', 'HAVE_ARCH_VMAP_STACK', 'KSTACK_GROW', 'KASAN', 'PROVOKE',
           'HOSTCC', 'PYTHON']
# Of what is built: what the same sources would become there.
LENT = ['options', 'include', 'boot', 'trap', 'kern', 'vm', 'user', 'bin', 'mkfs', 'mkfs.d']
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


def lend(build, tree):
    """Give the tree what was built here, and to each file that is the same the time it has here:
    make builds the others.  Nothing when the makefiles differ, which say how."""
    listed = git('-C', tree, 'ls-files', '-z').stdout.split('\0')
    same = {name for name in listed if name and os.path.isfile(name) and not os.path.islink(name)
            and filecmp.cmp(name, f'{tree}/{name}', shallow=False)}
    if any(name not in same for name in listed if name == 'Makefile' or name.endswith('.mk')):
        return
    for name in same:
        os.utime(f'{tree}/{name}', ns=(os.stat(name).st_atime_ns, os.stat(name).st_mtime_ns))
    for name in LENT:
        here, there = pathlib.Path(build, name), pathlib.Path(tree, 'build', name)
        if here.is_dir():
            shutil.copytree(here, there)
        elif here.exists():
            there.parent.mkdir(exist_ok=True)
            shutil.copy2(here, there)


@contextlib.contextmanager
def built(name, build, goals):
    """Make these goals in a tree of the commit, below build.  Yields the tree, which goes after."""
    tree = f'{build}/base-{os.getpid()}'
    added = git('worktree', 'add', '--quiet', '--detach', tree, resolve(name))
    try:
        if added.returncode:
            raise Wrong(f'git cannot check out BASE={name}: {added.stderr.strip()}')
        lend(build, tree)
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
