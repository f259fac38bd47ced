#include "daemon/store/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "daemon/store/audit_store.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

using absl::StatusCode;

absl::Status PathError(const std::string& path, const std::string& what, int error) {
  return MakeError(StatusCode::kUnavailable, "STATE_DIRECTORY",
                   path + ": " + what + ": " + std::strerror(error),
                   {{"path", path}, {"error", std::strerror(error)}});
}

// Held until it is destroyed, or the process ends in whatever way.
class DirectoryLock {
 public:
  static absl::StatusOr<std::unique_ptr<DirectoryLock>> Take(const std::string& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) return PathError(path, "cannot be opened", errno);
    auto lock = std::unique_ptr<DirectoryLock>(new DirectoryLock(fd));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return PathError(path, "cannot be locked", errno);
      char holder[32] = {};
      if (pread(fd, holder, sizeof holder - 1, 0) < 0) holder[0] = '\0';
      return MakeError(StatusCode::kFailedPrecondition, "STATE_DIRECTORY_IN_USE",
                       path + ": another canhubd (process " + holder +
                           ") uses this state directory; stop it, or give this one another "
                           "directory",
                       {{"path", path}, {"process", holder}});
    }
    const std::string pid = std::to_string(getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
      return PathError(path, "cannot be written", errno);
    }
    return lock;
  }
  ~DirectoryLock() { close(fd_); }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  const int fd_;
};

class StoreImpl final : public Store {
 public:
  StoreImpl(std::unique_ptr<DirectoryLock> lock, std::unique_ptr<StateDatabase> database,
            std::unique_ptr<Journal> journal, const StoreOptions& options, const Clock* clock,
            std::vector<std::string> notes)
      : lock_(std::move(lock)),
        database_(std::move(database)),
        audit_(std::move(journal), database_.get(), clock, options.retention, [this] { Wake(); }),
        alarms_(database_.get(), &audit_),
        device_values_(database_.get(), &audit_),
        notes_(std::move(notes)) {
    for (const std::string& note : notes_) {
      audit_.Note(note);
    }
    // What an earlier run left goes in before anything new. A disk that is full now is no reason
    // not to start: devices must be kept alive, and the journal keeps what it has.
    audit_.Flush().IgnoreError();
  }
  ~StoreImpl() override { audit_.Flush().IgnoreError(); }

  AuditLog& audit() override { return audit_; }
  AlarmStore& alarms() override { return alarms_; }
  DeviceValueStore& device_values() override { return device_values_; }
  const std::vector<std::string>& notes() const override { return notes_; }

  MonoTime RunUntil(MonoTime now) override {
    // A wake-up does not hasten the next try of a disk that failed.
    if (!audit_.writable() && now < next_try_) return next_try_;
    if (audit_.Flush().ok()) return now + kBatchPeriod;
    next_try_ = now + kRetryPeriod;
    return next_try_;
  }

 private:
  const std::unique_ptr<DirectoryLock> lock_;
  const std::unique_ptr<StateDatabase> database_;
  AuditStore audit_;
  DatabaseAlarmStore alarms_;
  DatabaseValueStore device_values_;
  const std::vector<std::string> notes_;
  MonoTime next_try_ = MonoTime::min();
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(StoreOptions options, const Clock* clock) {
  const std::string& directory = options.directory;
  if (mkdir(directory.c_str(), 0750) != 0 && errno != EEXIST) {
    return PathError(directory, "the state directory cannot be made", errno);
  }
  absl::StatusOr<std::unique_ptr<DirectoryLock>> lock =
      DirectoryLock::Take(directory + "/canhub.lock");
  if (!lock.ok()) return lock.status();

  std::vector<std::string> notes;
  absl::StatusOr<std::unique_ptr<StateDatabase>> database =
      StateDatabase::Open(directory + "/state.db", clock, &notes);
  if (!database.ok()) return database.status();
  absl::StatusOr<uint64_t> last = (*database)->LastSequence();
  if (absl::IsDataLoss(last.status())) {
    absl::StatusOr<std::string> note = (*database)->StartAnew();
    if (!note.ok()) return note.status();
    notes.push_back(*std::move(note));
    last = (*database)->LastSequence();
  }
  if (!last.ok()) return last.status();

  const std::string path = directory + "/audit.journal";
  absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Open(path, options.journal, *last);
  if (absl::IsFailedPrecondition(journal.status())) {
    const std::string kept =
        path + ".damaged-" + std::to_string(clock->WallNow().time_since_epoch().count());
    if (std::rename(path.c_str(), kept.c_str()) != 0) {
      return PathError(path, "is damaged and cannot be renamed", errno);
    }
    notes.push_back(std::string(journal.status().message()) + "; it is kept as " + kept +
                    ", a new one was begun");
    journal = Journal::Open(path, options.journal, *last);
  }
  if (!journal.ok()) return journal.status();
  if (const uint64_t lost = (*journal)->lost_entries(); lost > 0) {
    notes.push_back(path + " is damaged: " + std::to_string(lost) +
                    " of the last run's entries cannot be read and are missing in the audit "
                    "record");
  }
  return std::make_unique<StoreImpl>(*std::move(lock), *std::move(database), *std::move(journal),
                                     options, clock, std::move(notes));
}

}  // namespace canhub
