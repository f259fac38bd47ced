#include "daemon/store/journal.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

#include "drivers/api/errors.h"

namespace canhub {
namespace {

using absl::StatusCode;

constexpr size_t kHeaderSize = 4096;
constexpr uint64_t kMagic = 0x31304A4255484E43;  // "CNHUBJ01", little endian
constexpr size_t kAlignment = 8;

struct FileHeader {
  uint64_t magic;
  uint64_t capacity;
  uint64_t seed;
  uint64_t checksum;  // of the three before it
};

struct RecordHeader {
  uint64_t checksum;  // of everything after it, padding excluded
  uint64_t sequence;
  uint64_t position;
  uint32_t size;  // of the payload
  uint32_t unused;
};

// What stands before the texts in a payload.
struct PayloadHeader {
  int64_t time_ns;
  uint64_t command_id;
  uint16_t sizes[6];  // kind, identity, device_id, request_id, text, status
  uint32_t unused;
};

constexpr size_t kTexts = 6;
constexpr size_t kMaxPayload = sizeof(PayloadHeader) + Journal::kMaxText + 5 * Journal::kMaxName;

size_t RecordSize(size_t payload) {
  return (sizeof(RecordHeader) + payload + kAlignment - 1) / kAlignment * kAlignment;
}

// Recognises what was not written whole; not meant to withstand anybody who knows the seed.
uint64_t Checksum(uint64_t seed, const char* data, size_t size) {
  uint64_t sum = seed ^ size;
  const auto mix = [&sum](uint64_t word) {
    sum = (sum ^ word) * 0x9E3779B97F4A7C15;
    sum ^= sum >> 32;
  };
  for (; size >= 8; data += 8, size -= 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    mix(word);
  }
  uint64_t word = 0;
  std::memcpy(&word, data, size);
  mix(word);
  return sum;
}

uint64_t HeaderChecksum(const FileHeader& header) {
  return Checksum(0, reinterpret_cast<const char*>(&header), offsetof(FileHeader, checksum));
}

absl::Status FileError(const std::string& path, const std::string& what, int error) {
  const StatusCode code = error == ENOSPC || error == EDQUOT || error == EFBIG
                              ? StatusCode::kResourceExhausted
                              : StatusCode::kUnavailable;
  return MakeError(code, "JOURNAL_FILE", path + ": " + what + ": " + std::strerror(error),
                   {{"path", path}, {"error", std::strerror(error)}});
}

// Nothing but zeros after the header's page.
bool IsBlank(int fd, off_t size) {
  char block[kHeaderSize];
  for (off_t at = kHeaderSize; at < size;) {
    const ssize_t got = pread(fd, block, sizeof block, at);
    if (got <= 0) return got == 0;
    if (std::any_of(block, block + got, [](char c) { return c != 0; })) return false;
    at += got;
  }
  return true;
}

// Stores a word after everything that was stored before it. Requires 8-byte alignment.
void StoreLast(char* to, uint64_t word) {
  std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(to))
      .store(word, std::memory_order_release);
}

std::string_view Cut(const std::string& text, size_t size) {
  return std::string_view(text).substr(0, size);
}

// False when the sizes do not add up.
bool Decode(const char* payload, size_t size, AuditEntry* entry) {
  PayloadHeader header;
  if (size < sizeof header) return false;
  std::memcpy(&header, payload, sizeof header);
  size_t total = sizeof header;
  for (const uint16_t text_size : header.sizes) total += text_size;
  if (total != size) return false;
  entry->time = WallTime(Duration(header.time_ns));
  entry->command_id = header.command_id;
  const char* text = payload + sizeof header;
  std::string* const texts[kTexts] = {&entry->kind,       &entry->identity, &entry->device_id,
                                      &entry->request_id, &entry->text,     &entry->status};
  for (size_t i = 0; i < kTexts; ++i) {
    texts[i]->assign(text, header.sizes[i]);
    text += header.sizes[i];
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const std::string& path,
                                                       const JournalOptions& options,
                                                       uint64_t last_sequence) {
  const size_t least = 4 * RecordSize(kMaxPayload);
  if (options.capacity % kAlignment != 0 || options.reserve < least ||
      options.capacity < options.reserve + least) {
    return MakeError(StatusCode::kInvalidArgument, "JOURNAL_SIZE",
                     path + ": found a journal of " + std::to_string(options.capacity) +
                         " bytes with a reserve of " + std::to_string(options.reserve) +
                         ", expected at least " + std::to_string(least) + " for each part",
                     {{"path", path}});
  }
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return FileError(path, "cannot be opened", errno);
  struct Closer {
    int fd;
    ~Closer() { close(fd); }
  } closer{fd};
  struct stat file;
  if (fstat(fd, &file) != 0) return FileError(path, "cannot be examined", errno);
  FileHeader header{};
  if (file.st_size > 0 && pread(fd, &header, sizeof header, 0) < 0) {
    return FileError(path, "cannot be read", errno);
  }
  // The header is written last: a file without one was never finished, and holds nothing. One that
  // holds something has lost its header.
  const bool fresh = header.magic == 0 && IsBlank(fd, file.st_size);
  if (fresh) {
    if (ftruncate(fd, 0) != 0) return FileError(path, "cannot be emptied", errno);
    header.capacity = options.capacity;
    if (getrandom(&header.seed, sizeof header.seed, 0) != sizeof header.seed) {
      return FileError(path, "no random numbers", errno);
    }
    const auto size = static_cast<off_t>(kHeaderSize + header.capacity);
    if (const int error = posix_fallocate(fd, 0, size); error != 0) {
      ftruncate(fd, 0);
      return FileError(path, "no room for " + std::to_string(size) + " bytes", error);
    }
  } else if (header.magic != kMagic || header.checksum != HeaderChecksum(header) ||
             header.capacity < 2 * least || header.capacity % kAlignment != 0 ||
             file.st_size != static_cast<off_t>(kHeaderSize + header.capacity)) {
    return MakeError(StatusCode::kFailedPrecondition, "JOURNAL_FORMAT",
                     path + " is not an audit journal of this program, or it is damaged",
                     {{"path", path}});
  }
  void* map = mmap(nullptr, kHeaderSize + header.capacity, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_POPULATE, fd, 0);
  if (map == MAP_FAILED) return FileError(path, "cannot be mapped", errno);
  auto journal = std::unique_ptr<Journal>(
      new Journal(path, header.capacity, std::min(options.reserve, header.capacity / 2),
                  header.seed, static_cast<char*>(map)));
  if (fresh) {
    header.magic = kMagic;
    header.checksum = HeaderChecksum(header);
    // The magic number last: a half-made file is made again.
    std::memcpy(journal->map_ + 8, reinterpret_cast<const char*>(&header) + 8, sizeof header - 8);
    StoreLast(journal->map_, header.magic);
    if (fsync(fd) != 0) return FileError(path, "cannot be written", errno);
  }
  journal->Recover(last_sequence);
  return journal;
}

Journal::Journal(std::string path, size_t capacity, size_t reserve, uint64_t seed, char* map)
    : path_(std::move(path)),
      capacity_(capacity),
      reserve_(reserve),
      map_(map),
      ring_(map + kHeaderSize),
      seed_(seed) {}

Journal::~Journal() { munmap(map_, kHeaderSize + capacity_); }

void Journal::Recover(uint64_t last_sequence) {
  uint64_t end = 0;
  uint64_t begin = UINT64_MAX;
  uint64_t newest = last_sequence;
  for (size_t offset = 0; offset + sizeof(RecordHeader) <= capacity_;) {
    RecordHeader header;
    std::memcpy(&header, ring_ + offset, sizeof header);
    AuditEntry entry;
    if (header.position % capacity_ != offset || header.size > kMaxPayload ||
        offset + RecordSize(header.size) > capacity_ ||
        header.checksum != Checksum(seed_, ring_ + offset + 8, sizeof header - 8 + header.size) ||
        !Decode(ring_ + offset + sizeof header, header.size, &entry)) {
      offset += kAlignment;
      continue;
    }
    offset += RecordSize(header.size);
    end = std::max(end, header.position + RecordSize(header.size));
    newest = std::max(newest, header.sequence);
    if (header.sequence <= last_sequence) continue;
    begin = std::min(begin, header.position);
    entry.sequence = header.sequence;
    recovered_.push_back(std::move(entry));
  }
  std::sort(recovered_.begin(), recovered_.end(),
            [](const AuditEntry& a, const AuditEntry& b) { return a.sequence < b.sequence; });
  recovered_end_ = end;
  uint64_t before = last_sequence;
  for (const AuditEntry& entry : recovered_) {
    if (before != 0) lost_entries_ += entry.sequence - before - 1;
    before = entry.sequence;
  }
  MutexLock lock(&mutex_);
  head_ = end;
  tail_ = recovered_.empty() ? end : begin;
  last_sequence_ = newest;
}

uint64_t Journal::PlaceFor(uint64_t head, size_t size) const {
  const size_t offset = head % capacity_;
  return offset + size <= capacity_ ? head : head + (capacity_ - offset);
}

absl::Status Journal::Append(const AuditEntry& entry, bool reserved) {
  const std::string_view texts[kTexts] = {
      Cut(entry.kind, kMaxName),      Cut(entry.identity, kMaxName),
      Cut(entry.device_id, kMaxName), Cut(entry.request_id, kMaxName),
      Cut(entry.text, kMaxText),      Cut(entry.status, kMaxName)};
  PayloadHeader payload{};
  payload.time_ns = entry.time.time_since_epoch().count();
  payload.command_id = entry.command_id;
  RecordHeader header{};
  header.size = sizeof payload;
  for (size_t i = 0; i < kTexts; ++i) {
    payload.sizes[i] = static_cast<uint16_t>(texts[i].size());
    header.size += payload.sizes[i];
  }
  const size_t size = RecordSize(header.size);

  MutexLock lock(&mutex_);
  const uint64_t place = PlaceFor(head_, size);
  const size_t room = reserved ? capacity_ : capacity_ - reserve_;
  if (place + size - tail_ > room) {
    return MakeError(StatusCode::kResourceExhausted, "AUDIT_JOURNAL_FULL",
                     path_ + ": " + std::to_string(head_ - tail_) +
                         " bytes wait for the database, no room for more in " +
                         std::to_string(room),
                     {{"path", path_}, {"capacity", std::to_string(room)}});
  }
  header.sequence = last_sequence_ + 1;
  header.position = place;
  char* const record = ring_ + place % capacity_;
  char* to = record + sizeof header;
  std::memcpy(to, &payload, sizeof payload);
  to += sizeof payload;
  for (const std::string_view text : texts) {
    std::memcpy(to, text.data(), text.size());
    to += text.size();
  }
  std::memcpy(record + 8, reinterpret_cast<const char*>(&header) + 8, sizeof header - 8);
  // Killed before this line, there is no record; after it, there is a whole one.
  StoreLast(record, Checksum(seed_, record + 8, sizeof header - 8 + header.size));
  head_ = place + size;
  last_sequence_ = header.sequence;
  return absl::OkStatus();
}

Journal::Batch Journal::Peek(size_t limit) const {
  Batch batch;
  uint64_t head;
  {
    MutexLock lock(&mutex_);
    batch.end = tail_;
    head = head_;
  }
  if (!recovered_.empty()) {
    batch.entries = recovered_;
    batch.end = recovered_end_;
  }
  // Nobody writes between tail and head, so this needs no lock.
  while (batch.end < head && batch.entries.size() < limit) {
    const size_t offset = batch.end % capacity_;
    RecordHeader header{};
    if (offset + sizeof header <= capacity_) std::memcpy(&header, ring_ + offset, sizeof header);
    if (header.position != batch.end || offset + sizeof header > capacity_) {
      // The place skipped at the end of the ring.
      batch.end += capacity_ - offset;
      continue;
    }
    AuditEntry entry;
    entry.sequence = header.sequence;
    if (Decode(ring_ + offset + sizeof header, header.size, &entry)) {
      batch.entries.push_back(std::move(entry));
    }
    batch.end += RecordSize(header.size);
  }
  return batch;
}

void Journal::Release(uint64_t end) {
  recovered_.clear();
  MutexLock lock(&mutex_);
  tail_ = end;
}

size_t Journal::used() const {
  MutexLock lock(&mutex_);
  return head_ - tail_;
}

uint64_t Journal::last_sequence() const {
  MutexLock lock(&mutex_);
  return last_sequence_;
}

}  // namespace canhub
