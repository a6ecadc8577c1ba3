"""A name server for one name: answers A with the given address, and everything else with nothing. UDP only."""

import socket
import struct
import sys

at, name, address = sys.argv[1], sys.argv[2].lower(), socket.inet_aton(sys.argv[3])
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((at, 53))
while True:
    question, client = server.recvfrom(4096)
    end = question.index(b"\0", 12)
    labels, rest = [], question[12:end]
    while rest:
        labels.append(rest[1 : rest[0] + 1].decode())
        rest = rest[rest[0] + 1 :]
    (kind,) = struct.unpack("!H", question[end + 1 : end + 3])
    found = kind == 1 and ".".join(labels).lower() == name
    head = question[:2] + struct.pack("!HHHHH", 0x8180, 1, int(found), 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + address
    server.sendto(head + question[12 : end + 5] + (record if found else b""), client)
