package tide

import (
	"testing"
	"time"
)

func TestNextIsAfterNowAndWithinOnePeriod(t *testing.T) {
	known := time.Date(2026, 1, 1, 6, 0, 0, 0, time.UTC)
	for _, wait := range []time.Duration{0, time.Minute, period, 100 * period, 100*period - 1} {
		now := known.Add(wait)
		next := Next(known, now)
		if !next.After(now) || next.Sub(now) > period {
			t.Errorf("Next(%v) = %v", now, next)
		}
	}
}
