"""Bytes or an object in, one value a month out; everything that is wrong on the way is named. No I/O."""
