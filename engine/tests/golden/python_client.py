import sys
from kafka import KafkaProducer
for z in ["none", "gzip", "snappy", "lz4", "zstd"]:
    p = KafkaProducer(bootstrap_servers=sys.argv[1], compression_type=None if z == "none" else z, linger_ms=500, enable_idempotence=False)
    for i in range(50):
        p.send("python-" + z, b"line %d of python, tailrace tailrace tailrace" % i, partition=0, timestamp_ms=1700000000000 + i)
    p.flush(); p.close()
