// A table that is redrawn in place.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace canhub::ctl {

struct TerminalSize {
  size_t rows = 24;
  size_t columns = 80;
};
// Of standard output; 24 × 80 where the terminal does not say.
TerminalSize GetTerminalSize();

// Hides the cursor while it lives; leaves the last picture on the screen.
class LiveScreen {
 public:
  // The stream outlives this; it must be a terminal that knows ANSI sequences.
  explicit LiveScreen(std::ostream& out);
  ~LiveScreen();
  LiveScreen(const LiveScreen&) = delete;
  LiveScreen& operator=(const LiveScreen&) = delete;

  // Draws over the picture before. Lines are cut at the right edge; lines below the lower edge are
  // left out with a note, because a terminal cannot go back up to what it has scrolled away.
  void Draw(const std::vector<std::string>& lines, TerminalSize size);

 private:
  std::ostream& out_;
  size_t drawn_ = 0;
};

}  // namespace canhub::ctl
