"""JSON texts whose handling RFC 8259 leaves open, as in the `i_` files of JSONTestSuite.

Gatehouse accepts those with a unique meaning and rejects the others.
"""

TAKEN = {
    "numbers that a float rounds (section 6)": {
        "an underflow to zero": b"[123e-10000000]",
        "a negative underflow": b"[-123.456e-789]",
        "a double out of integer precision": b"[9007199254740993.0]",
        "an integer of 100 digits": b"[" + b"9" * 100 + b"]",
        "an integer of 4,000 digits": b"[" + b"9" * 4000 + b"]",
        "more digits than a float has": b"[0." + b"123456789" * 20 + b"]",
    },
    "a byte order mark (section 8.1)": {
        "before an object": b"\xef\xbb\xbf{}",
        "before white space": b"\xef\xbb\xbf [1]",
        "before a scalar": b"\xef\xbb\xbfnull",
    },
    "depth (section 9)": {
        "150 arrays": b"[" * 150 + b"]" * 150,
        "150 objects": b'{"a":' * 150 + b"1" + b"}" * 150,
    },
}

REFUSED = {
    "numbers too large for a float (section 6)": {
        "an exponent of 400": b"[1e400]",
        "a negative one": b"[-1e+9999]",
        "a huge exponent": b"[1.5e+9999]",
        "an exponent beyond 32 bits": b"[0.4e00669999999999999999999999999999999999999999999999]",
        "a float of 400 digits": b"[" + b"9" * 400 + b".0]",
        "just beyond the largest": b"[1.7976931348623159e308]",
        "in a member": b'{"a":{"b":[1,1e999]}}',
    },
    "integers too long (section 6)": {
        "5,000 digits": b"[" + b"9" * 5000 + b"]",
        "5,000 digits below zero": b"[-" + b"9" * 5000 + b"]",
    },
    "lone surrogates (section 8.2)": {
        "a high one": b'["\\uD800"]',
        "a low one": b'["\\uDC00"]',
        "a high one before text": b'["\\uD800abc"]',
        "a low one after text": b'["abc\\uDD1E"]',
        "two high ones": b'["\\uD800\\uD800"]',
        "exchanged": b'["\\uDD1e\\uD834"]',
        "a high one and an escaped newline": b'["\\uD800\\n"]',
        "a high one and a letter": b'["\\uD800\\u0041"]',
        "a pair after a lone one": b'["\\uD888\\uD834\\uDD1E"]',
        "in a name": b'{"\\uDFAA":0}',
        "in capital digits": b'["\\uDADA"]',
    },
    "depth (section 9)": {
        "500 arrays": b"[" * 500 + b"]" * 500,
        "10,000 arrays": b"[" * 10_000 + b"]" * 10_000,
        "1,000 objects": b'{"a":' * 1000 + b"1" + b"}" * 1000,
    },
    "size (section 9)": {
        "25,000 arrays": b"[" + b"[]," * 25_000 + b"[]]",
        "25,000 objects": b"[" + b"{}," * 25_000 + b"{}]",
    },
}

# Well-formed, with a meaning that depends on the reader (section 4): refused as a request that is
# not well formed, rather than as a text that is no JSON.
DUPLICATED = {
    "one name twice": b'{"a":"b","a":"c"}',
    "with the same value": b'{"a":"b","a":"b"}',
    "escaped once": b'{"a":1,"\\u0061":2}',
    "an empty name": b'{"":1,"":2}',
    "with another between": b'{"a":1,"b":2,"a":3}',
    "three times": b'{"a":1,"a":2,"a":3}',
    "in an object": b'{"x":{"a":1,"a":2}}',
    "in an array": b'[{"a":1},{"a":1,"a":2}]',
    "beside a colon in a string": b'{"a":":","a":1}',
    "after an empty object": b'{"a":{},"a":{}}',
    "null first": b'{"a":null,"a":1}',
}
