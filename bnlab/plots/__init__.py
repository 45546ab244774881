"""Drawing: functions on matplotlib axes and arrays. Each returns the numbers it drew, which become the figure's CSV."""
