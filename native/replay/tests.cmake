ringtap_test(replay SOURCES ${CMAKE_SOURCE_DIR}/native/test/replay_test.cc LINK ringtap_replay Threads::Threads)
