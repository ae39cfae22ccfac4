if(TARGET ringtap_pfring_standin)
  ringtap_test(pfring SERIAL SOURCES ${CMAKE_SOURCE_DIR}/native/test/pfring_test.cc
               LINK ringtap_test_traffic ringtap_backend_pfring ringtap_pfring_standin Threads::Threads)
endif()
