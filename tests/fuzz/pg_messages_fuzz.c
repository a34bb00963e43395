/* First byte: the size of the pieces in which the stream comes. */
#include "gateway/session/refusal.h"
#include "gateway/wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    struct refusals r;
    refusals_init(&r);
    size_t step = 1 + (size_t)data[0];
    struct slice in = slice_of(data + 1, size - 1);
    struct message_scan s = {0};
    uint64_t announced = 0;
    uint64_t seen = 0;
    for (bool bad = false; in.len > 0 && !bad;) {
        struct slice part = slice_sub(in, 0, step);
        in = slice_sub(in, part.len, in.len);
        for (;;) {
            struct message_event ev = {0};
            enum message_step got = message_next(&s, &part, &ev);
            if (got == MESSAGE_MORE || got == MESSAGE_BAD) {
                bad = got == MESSAGE_BAD;
                break;
            }
            announced += ev.len * (got == MESSAGE_HEAD);
            seen += ev.piece.len;
            sl_assert(seen <= announced);
            sl_assert(!ev.last || seen == announced);
        }
    }
    struct slice text = message_error_field(slice_of(data + 1, size - 1), 'M');
    free(refusal_take(&r, text));
    (void)message_position(text, step);
    refusals_fini(&r);
    return 0;
}
