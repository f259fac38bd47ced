// Gives a fuzz target every file of its corpus: what fuzzing has found stays found, in every
// preset.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

TEST(Corpus, EveryFileIsTaken) {
  const std::filesystem::path folder = CANHUB_FUZZ_CORPUS;
  ASSERT_TRUE(std::filesystem::is_directory(folder)) << folder << " is missing";
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry);
  std::sort(files.begin(), files.end());
  ASSERT_FALSE(files.empty()) << folder << " is empty";
  for (const std::filesystem::path& file : files) {
    // The last name before a crash is the input that made it.
    std::cerr << file.filename().string() << std::endl;
    std::ifstream in(file, std::ios::binary);
    ASSERT_TRUE(in) << file;
    const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
    // A copy of exactly this size: AddressSanitizer sees a read beyond it.
    EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()),
              0);
  }
}

}  // namespace
