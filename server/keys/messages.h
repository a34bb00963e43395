/* Messages between kms and the keyholder: frame types of requests; see
 * docs/decisions/2-keyholder-messages.md for their fields. */
#ifndef SL_KEYS_MESSAGES_H
#define SL_KEYS_MESSAGES_H

enum keyholder_op {
    KEYHOLDER_CREATE = 1,
    KEYHOLDER_SET_STATE = 2,
    KEYHOLDER_ROTATE = 3,
    KEYHOLDER_ENCRYPT = 4, /* this and the next two: in a message of uses alone */
    KEYHOLDER_DECRYPT = 5,
    KEYHOLDER_DATA_KEY = 6,
    KEYHOLDER_SEAL = 7,
    KEYHOLDER_UNSEAL = 8,
    KEYHOLDER_DERIVE = 9,
    KEYHOLDER_AUDIT_BEGIN = 10,
    KEYHOLDER_AUDIT_MAC = 11,
    KEYHOLDER_AUDIT_SIGN = 12,
    KEYHOLDER_AUDIT_CHECK = 13,
    KEYHOLDER_FORK = 14, /* carries the new channel's descriptor */
    KEYHOLDER_CREATE_EMPTY = 15,
    KEYHOLDER_IMPORT_BEGIN = 16,
    KEYHOLDER_IMPORT = 17,
    KEYHOLDER_FORGET = 18,
    KEYHOLDER_PROBE = 19,
    KEYHOLDER_PROVE = 20,
    KEYHOLDER_USES = 21, /* n uses of keys, each with an answer of its own */
};

enum { KEYHOLDER_OK = 'O', KEYHOLDER_ERROR = 'E' };

/* On the control socket. Wrap: the passphrase of a backup, answered with a domain key file under
 * it; whoever holds this socket has started the process, and so has the root. Sealed: u8 kind of
 * root, u16 code and text of the last refusal (0 and nothing at first); the supervisor answers with
 * a word, the passphrase or PIN. */
enum {
    KEYHOLDER_READY = 'R',
    KEYHOLDER_CHANNEL = 'C',
    KEYHOLDER_WRAP = 'B',
    KEYHOLDER_SEALED = 'S',
    KEYHOLDER_WORD = 'W',
    KEYHOLDER_MOVED = 'M', /* the domain key is under its new root; the process ends */
};

enum {
    KEY_ARN_MAX = 1024,
    KEY_MATERIAL_ID_CHARS = 64,
    KEYHOLDER_CHANNELS_MAX = 96,
    KEYHOLDER_LABEL_MAX = 128, /* purposes of seal, labels of derive */
    KEYHOLDER_USES_MAX = 64,   /* in a message */
};

#endif
