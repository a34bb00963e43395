#include "extension/columnar/columnar.h"

#include "extension/columnar/orphans.h"
#include "extension/columnar/pages.h"
#include "extension/columnar/pending.h"
#include "extension/columnar/scan.h"
#include "extension/columnar/statements.h"
#include "extension/columnar/table.h"
#include "extension/keys/sweep.h"

void columnar_init(void) {
    pages_init();
    pending_init();
    scan_init();
    statements_init();
    table_ddl_init();
    sweep_before_keys = orphans_sweep;
}
