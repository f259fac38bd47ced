// What must survive: the audit record, the alarms and what drivers keep, in one directory that one
// daemon owns.
//
//   canhub.lock          held while a daemon uses the directory
//   audit.journal        entries on their way into the database (journal.h)
//   state.db             SQLite: the audit record, the alarms, what drivers keep
//   *.damaged-<time>     what could not be read, kept for a person to look at
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/store_api.h"
#include "daemon/store/journal.h"
#include "daemon/store/state_database.h"
#include "drivers/api/step.h"

namespace canhub {

struct StoreOptions {
  std::string directory;  // made when it does not exist; its parent must
  JournalOptions journal;
  AuditRetention retention;
};

// RunUntil moves entries from the journal into the database, at least twice a second, and waits for
// the disk: it belongs on a thread of its own, with nothing else that must be in time.
class Store : public Steppable {
 public:
  // The time between two batches: with the batch itself, less than the second that power loss may
  // take (S11).
  static constexpr Duration kBatchPeriod = std::chrono::milliseconds(500);
  // How long after a failure the database is tried again.
  static constexpr Duration kRetryPeriod = std::chrono::seconds(1);

  // FAILED_PRECONDITION: another daemon uses the directory, or a newer one made the files.
  // `clock` outlives the store.
  static absl::StatusOr<std::unique_ptr<Store>> Open(StoreOptions options, const Clock* clock);

  virtual AuditLog& audit() = 0;
  virtual AlarmStore& alarms() = 0;
  virtual DeviceValueStore& device_values() = 0;
  // What a person must know of opening the files, one line each: to be logged as warnings. It is
  // in the audit record too.
  virtual const std::vector<std::string>& notes() const = 0;
};

}  // namespace canhub
