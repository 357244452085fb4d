"""What every room uses: files written whole or not at all, the console, progress, interrupts."""
