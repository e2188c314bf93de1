#!/usr/bin/env python3
"""Takes the protobuf descriptors out of an Envoy binary.

Usage: extract.py ENVOY_BINARY OUT        (needs the PyPI package `protobuf`)

Every proto file that is linked into Envoy lies in the binary as a serialized
FileDescriptorProto. This script finds each one by its file name, walks its
top-level fields to learn where it ends, and writes them all, dependencies
first, as one FileDescriptorSet. Equal binaries give equal output.
"""

import re
import sys

from google.protobuf import descriptor_pb2

# FileDescriptorProto: field number -> wire type, or the wire types it may have.
FIELDS = {
    1: (2,), 2: (2,), 3: (2,), 4: (2,), 5: (2,), 6: (2,), 7: (2,), 8: (2,), 9: (2,),
    10: (0, 2), 11: (0, 2), 12: (2,), 14: (0,), 15: (2,),
}
SINGULAR = (1, 2, 8, 12, 14)
# Files of the libraries Envoy is built from, which no xDS resource refers to.
LEFT_OUT = (
    "source/", "src/proto/", "tcmalloc", "language-agent", "common/C", "cpp2sky", "zipkin.proto",
)
NAME = re.compile(rb"[a-zA-Z0-9_\-/\.]{3,180}\.proto(?=[\x12\x1a\x22\x2a\x3a\x62])")


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
        if shift > 63:
            raise ValueError("varint too long")


def end_of_file_descriptor(data, at):
    """Walks the fields from `at` until something is no FileDescriptorProto field."""
    seen = set()
    try:
        while True:
            tag, after = varint(data, at)
            field, wire = tag >> 3, tag & 7
            if wire not in FIELDS.get(field, ()):
                return at
            if field in SINGULAR and field in seen:
                return at
            length, after = varint(data, after)
            at = after + length if wire == 2 else after
            seen.add(field)
    except (IndexError, ValueError):
        return at


def header_of_name(data, start, end):
    """Where the tag of field 1 holding data[start:end] begins, if it does."""
    length = end - start
    if length < 128:
        header = bytes([0x0A, length])
    else:
        header = bytes([0x0A, length & 0x7F | 0x80, length >> 7])
    at = start - len(header)
    return at if data[at:start] == header else None


def find_files(data):
    found = {}
    for match in NAME.finditer(data):
        end = match.end()
        for length in range(6, 184):
            start = end - length
            header = header_of_name(data, start, end)
            name = data[start:end]
            if header is None or not re.fullmatch(rb"[a-zA-Z0-9_\-/\.]+", name):
                continue
            stop = end_of_file_descriptor(data, header)
            try:
                file = descriptor_pb2.FileDescriptorProto.FromString(data[header:stop])
            except Exception:  # not a descriptor after all
                continue
            key = name.decode()
            if key not in found or stop - header > found[key][0]:
                found[key] = (stop - header, file)
            break
    return {name: file for name, (_, file) in found.items()}


def main():
    with open(sys.argv[1], "rb") as binary:
        files = find_files(binary.read())
    result, done = descriptor_pb2.FileDescriptorSet(), set()

    def add(name):
        if name in done:
            return
        done.add(name)
        for dependency in files[name].dependency:
            add(dependency)
        result.file.append(files[name])

    for name in sorted(files):
        if not name.startswith(LEFT_OUT):
            add(name)
    with open(sys.argv[2], "wb") as out:
        out.write(result.SerializeToString(deterministic=True))
    print(f"{len(result.file)} files")


if __name__ == "__main__":
    main()
