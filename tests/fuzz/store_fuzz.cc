// The audit journal and the state directory after any damage: what is read is what was written,
// what is lost is told, and a daemon starts and records again.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/store/journal.h"
#include "daemon/store/store.h"
#include "daemon/store/test_directory.h"
#include "drivers/testing/fuzz_input.h"
#include "drivers/testing/simulated_clock.h"

namespace canhub {
namespace {

// The smallest that there is, so that the ring goes round within one input.
constexpr JournalOptions kOptions = {.capacity = 56 << 10, .reserve = 27 << 10};

AuditEntry TakeEntry(FuzzInput& input) {
  AuditEntry entry;
  entry.time = WallTime(Duration(input.Take<int64_t>()));
  entry.kind = "command";
  entry.device_id = input.Text(input.Below(8));
  entry.command_id = input.Byte();
  entry.text = std::string(input.Below(32) * 128, 'x') + input.Text(input.Below(16));
  return entry;
}

bool SameContent(const AuditEntry& a, const AuditEntry& b) {
  return a.time == b.time && a.kind == b.kind && a.device_id == b.device_id &&
         a.command_id == b.command_id && a.text == b.text;
}

// Changes a file's bytes as bad blocks, torn writes and careless people do; true when it did.
bool Damage(FuzzInput& input, std::string* bytes) {
  const std::string before = *bytes;
  for (size_t count = input.Below(6); count > 0 && !bytes->empty(); --count) {
    const size_t at = input.Take<uint32_t>() % bytes->size();
    const size_t size = std::min<size_t>(input.Take<uint16_t>(), bytes->size() - at);
    switch (input.Below(6)) {
      case 0:
        (*bytes)[at] = static_cast<char>((*bytes)[at] ^ input.Byte());
        break;
      case 1:
        std::fill_n(bytes->begin() + static_cast<ptrdiff_t>(at), size, '\0');
        break;
      case 2:
        // A block that lands at a wrong place.
        std::memmove(bytes->data(), bytes->data() + at, size);
        break;
      case 3:
        std::memmove(bytes->data() + at, bytes->data() + at / 2, size);
        break;
      case 4:
        bytes->resize(at);
        break;
      default: {
        const std::string patch = input.Text(std::min<size_t>(size, input.Byte()));
        std::copy(patch.begin(), patch.end(), bytes->begin() + static_cast<ptrdiff_t>(at));
        break;
      }
    }
  }
  return *bytes != before;
}

// A file in memory that keeps its name.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("journal", MFD_CLOEXEC)) {
    Require(fd_ >= 0, "there is memory for a file");
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  std::string Read() const {
    std::string bytes(static_cast<size_t>(lseek(fd_, 0, SEEK_END)), '\0');
    Require(pread(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
            "a file can be read");
    return bytes;
  }
  void Write(const std::string& bytes) const {
    Require(ftruncate(fd_, 0) == 0 &&
                pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
            "a file can be written");
  }

 private:
  const int fd_;
};

// Appends and releases as the input says. What was appended goes to `written`, by number; returns
// the last number that was released.
uint64_t Fill(FuzzInput& input, Journal& journal, std::map<uint64_t, AuditEntry>* written) {
  uint64_t released = 0;
  for (size_t count = input.Below(64); count > 0; --count) {
    const uint8_t what = input.Byte();
    if (what % 8 == 0) {
      const Journal::Batch batch = journal.Peek(what / 8);
      if (!batch.entries.empty()) released = batch.entries.back().sequence;
      journal.Release(batch.end);
      continue;
    }
    AuditEntry entry = TakeEntry(input);
    const absl::Status status = journal.Append(entry, what % 8 == 1);
    Require(status.ok() || absl::IsResourceExhausted(status), "a journal is only ever full",
            status.ToString());
    if (status.ok()) written->emplace(journal.last_sequence(), std::move(entry));
  }
  return released;
}

void CheckJournal(FuzzInput& input) {
  static const MemoryFile* const file = new MemoryFile();  // lives to the end
  file->Write("");
  std::map<uint64_t, AuditEntry> written;
  uint64_t released = 0;
  {
    absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Open(file->path(), kOptions, 0);
    Require(journal.ok(), "a journal can be made", journal.status().ToString());
    released = Fill(input, **journal, &written);
  }
  std::string bytes = file->Read();
  const bool damaged = Damage(input, &bytes);
  file->Write(bytes);

  absl::StatusOr<std::unique_ptr<Journal>> journal =
      Journal::Open(file->path(), kOptions, released);
  if (!journal.ok()) {
    Require(damaged && absl::IsFailedPrecondition(journal.status()),
            "only a damaged journal is refused", journal.status().ToString());
    return;
  }
  const Journal::Batch batch = (*journal)->Peek(SIZE_MAX);
  uint64_t last = released;
  uint64_t lost = 0;
  for (const AuditEntry& entry : batch.entries) {
    Require(entry.sequence > last, "numbers rise", std::to_string(entry.sequence));
    lost += entry.sequence - last - 1;
    last = entry.sequence;
    const auto original = written.find(entry.sequence);
    Require(original != written.end() && SameContent(original->second, entry),
            "what is read was written", std::to_string(entry.sequence));
  }
  if (!damaged) {
    const uint64_t newest = written.empty() ? 0 : written.rbegin()->first;
    Require(last == newest && lost == 0, "S11: nothing is lost without damage",
            std::to_string(last) + " of " + std::to_string(newest));
  }
  Require(
      (*journal)->lost_entries() ==
          (released == 0 && !batch.entries.empty() ? lost - (batch.entries[0].sequence - 1) : lost),
      "what is lost is told", std::to_string(lost));
  (*journal)->Release(batch.end);
  Require((*journal)->used() == 0, "a journal can be emptied");
  AuditEntry entry;
  entry.text = "after";
  Require((*journal)->Append(entry, false).ok(), "a journal goes on");
  const Journal::Batch after = (*journal)->Peek(SIZE_MAX);
  Require(after.entries.size() == 1 && after.entries[0].text == "after" &&
              after.entries[0].sequence > last,
          "a journal goes on with what is new");
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The whole directory: slow, therefore seldom.
void CheckDirectory(FuzzInput& input) {
  SimulatedClock clock;
  const TestDirectory directory;
  const StoreOptions options = {.directory = directory / "state", .journal = kOptions};
  {
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(options, &clock);
    Require(store.ok(), "a store can be made", store.status().ToString());
    Require((*store)->audit().Append(TakeEntry(input)).ok(), "a store records");
    AlarmRecord alarm;
    alarm.device_id = "hv0";
    alarm.code = "trip";
    alarm.text = input.Text(input.Below(16));
    Require((*store)->alarms().Save(alarm).ok(), "a store keeps alarms");
  }
  bool damaged = false;
  for (const char* name : {"/state.db", "/audit.journal", "/canhub.lock"}) {
    const std::string path = options.directory + name;
    std::string bytes = ReadFile(path);
    if (!Damage(input, &bytes)) continue;
    damaged = true;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(options, &clock);
  if (!store.ok()) {
    // A version number or another program's mark that the damage has made.
    Require(damaged && absl::IsFailedPrecondition(store.status()), "a store opens after any damage",
            store.status().ToString());
    return;
  }
  AuditEntry entry;
  entry.text = "after";
  Require((*store)->audit().Append(entry).ok(), "a store records again");
  (*store)->RunUntil(clock.Now());
  const absl::StatusOr<AuditPage> page = (*store)->audit().Query({});
  Require(page.ok(), "the record can be read", page.status().ToString());
  // Not always the newest: a damage that shows only now is recorded behind it.
  const auto after = [](const AuditEntry& found) { return found.text == "after"; };
  Require(std::count_if(page->entries.begin(), page->entries.end(), after) == 1,
          "what is recorded is found once");
  const absl::StatusOr<std::vector<AlarmRecord>> alarms = (*store)->alarms().LoadAll();
  Require(alarms.ok(), "alarms can be read", alarms.status().ToString());
}

}  // namespace
}  // namespace canhub

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace canhub;  // NOLINT(google-build-using-namespace)
  FuzzInput input(data, size);
  if (input.Byte() != 0xFF) {
    CheckJournal(input);
  } else {
    CheckDirectory(input);
  }
  return 0;
}
