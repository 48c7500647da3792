#!/bin/sh
# slim.sh FOLDER…: removes from installed packages the files that no program reads (debug symbols, sources
# of extensions and translations, tests), and compiles the remaining modules, so that no start has to.
set -eu
for folder in "$@"; do
    find "$folder" -type f -name '*.so*' -exec strip --strip-unneeded {} +
    find "$folder" -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.c' \
        -o -name '*.h' -o -name '*.po' \) -delete
    find "$folder" -depth -type d \( -name tests -o -name .mypy_cache \) -exec rm -r {} +
    python3 -m compileall -q "$folder"
done
